//! The files: a mistake in each, whose line is marked.

use super::Wrong;

/// All of them.
pub(super) const WRONG: &[Wrong] = &[
    // What is no TOML and no YAML.
    ("a quote that is not closed", "proxy.toml", "listen = \"127.0.0.1:8080 <-\n"),
    (
        "a table that is opened twice",
        "proxy.toml",
        "[retry]\nattempts = 1\n[retry] <-\nbudget = 0.1\n",
    ),
    ("tabs in YAML", "proxy.yaml", "retry:\n\tattempts: 1 <-\n"),
    ("a key given twice in YAML", "proxy.yaml", "workers: 2\nworkers: 4 <-\n"),
    // The proxy itself.
    ("a key that is misspelt", "proxy.toml", "wrokers = 4 <-\n"),
    ("an address without a port", "proxy.toml", "listen = \"localhost\" <-\n"),
    ("no worker", "proxy.toml", "workers = 0 <-\n"),
    ("a text for a number", "proxy.yaml", "workers: four <-\n"),
    ("a mode that is none", "proxy.toml", "mode = \"proxy\" <-\n"),
    // Endpoints.
    (
        "an endpoint with a scheme",
        "proxy.toml",
        "endpoints = [\n  \"127.0.0.1:9001\",\n  \"http://127.0.0.1:9002\", <-\n]\n",
    ),
    (
        "a weight of nothing",
        "proxy.toml",
        "[[endpoints]]\naddress = \"127.0.0.1:9001\"\nweight = 0 <-\n",
    ),
    (
        "one endpoint twice",
        "proxy.toml",
        "endpoints = [\n  \"127.0.0.1:9001\",\n  \"127.0.0.1:9001\", <-\n]\n",
    ),
    ("an endpoint without an address", "proxy.toml", "[[endpoints]] <-\nweight = 2\n"),
    // Timeouts, limits, queue.
    ("a number without its unit", "proxy.toml", "[timeouts]\nconnect = 3 <-\n"),
    ("a unit that is none", "proxy.toml", "[timeouts]\nconnect = \"3 parsecs\" <-\n"),
    ("no time at all", "proxy.toml", "[timeouts]\nkeep_alive = \"0s\" <-\n"),
    ("a size as a bare number in YAML", "proxy.yaml", "limits:\n  head: 32768 <-\n"),
    (
        "a target longer than its head",
        "proxy.toml",
        "[limits]\nhead = \"4KiB\"\ntarget = \"8KiB\" <-\n",
    ),
    ("more fields than can be", "proxy.toml", "[limits]\nfields = 1000 <-\n"),
    (
        "a queue in which nobody may wait",
        "proxy.toml",
        "[queue]\nmax_waiting = 10\ntimeout = \"0ms\" <-\n",
    ),
    // Balancing, health, ejection, retries.
    ("a strategy that is misspelt", "proxy.toml", "[balance]\nstrategy = \"peak_emwa\" <-\n"),
    (
        "a parameter beside its strategy",
        "proxy.toml",
        "balance = { strategy = \"p2c\", choices = 3 } <-\n",
    ),
    (
        "a parameter of another strategy",
        "proxy.toml",
        "[balance.strategy]\nstrategy = \"random\"\nchoices = 3 <-\n",
    ),
    ("a share as a percentage", "proxy.toml", "[balance]\npanic_threshold = 50.0 <-\n"),
    (
        "a parameter out of its range",
        "proxy.toml",
        "[balance.strategy]\nstrategy = \"p2c\"\nchoices = 0 <-\n",
    ),
    (
        "a health check that never ends",
        "proxy.toml",
        "[health]\ninterval = \"1s\"\ntimeout = \"0s\" <-\n",
    ),
    ("a status that is none", "proxy.toml", "[outlier]\nstatuses = [\"500-99\"] <-\n"),
    ("a budget as a percentage", "proxy.toml", "[retry]\nattempts = 1\nbudget = 20 <-\n"),
    // Forwarding and redirects.
    (
        "a range of addresses that is none",
        "proxy.toml",
        "[forwarding]\ntrusted = [\"10.0.0.0/8\", \"10.0.0.0/99\"] <-\n",
    ),
    ("a name with a blank", "proxy.toml", "[forwarding]\npseudonym = \"my proxy\" <-\n"),
    (
        "a secret that is short",
        "proxy.toml",
        "mode = \"redirect\"\n[redirect]\nsecret = \"hush\" <-\n",
    ),
    // Routes and upstreams.
    (
        "a route to nowhere",
        "proxy.toml",
        "[[routes]]\nmatch = { prefix = \"/api/\" }\nupstream = \"api\" <-\n",
    ),
    (
        "an upstream that is misspelt",
        "proxy.toml",
        "[[routes]]\nupstream = \"imgaes\" <-\n[upstreams.images]\nendpoints = [\"127.0.0.1:9001\"]\n",
    ),
    (
        "an upstream without endpoints",
        "proxy.toml",
        "[upstreams.api] <-\nretry = { attempts = 2 }\n",
    ),
    (
        "a limit of an upstream",
        "proxy.toml",
        "[upstreams.api]\nendpoints = [\"127.0.0.1:9001\"]\n[upstreams.api.queue]\ntimeout = \"0s\" <-\n",
    ),
    (
        "two ways to say a path",
        "proxy.toml",
        "[[routes]]\n[routes.match]\npath = \"/a\"\nprefix = \"/b\" <-\n",
    ),
    ("a path that no request has", "proxy.toml", "[[routes]]\nmatch = { prefix = \"/a//b\" } <-\n"),
    ("a path with its query", "proxy.toml", "[[routes]]\nmatch = { path = \"/search?q=x\" } <-\n"),
    (
        "an expression that is none",
        "proxy.yaml",
        "routes:\n  - match:\n      regex: '^/item/(\\d+' <-\n",
    ),
    (
        "a host with its port",
        "proxy.toml",
        "[[routes]]\nmatch = { host = [\"a.example\", \"b.example:80\"] } <-\n",
    ),
    ("a method in small letters", "proxy.yaml", "routes:\n  - match: { method: get } <-\n"),
    (
        "a field that is a number",
        "proxy.toml",
        "[[routes]]\nmatch = { header = { X-Version = 2 } } <-\n",
    ),
    (
        "a route that is never reached",
        "proxy.toml",
        "[[routes]]\nmatch = { prefix = \"/api\" }\n[[routes]] <-\nmatch = { prefix = \"/api/v2/\", method = \"GET\" }\n",
    ),
    (
        "two routes of one name",
        "proxy.toml",
        "[[routes]]\nname = \"api\"\nmatch = { prefix = \"/a\" }\n[[routes]]\nname = \"api\" <-\nmatch = { prefix = \"/b\" }\n",
    ),
    ("a key of a route in the wrong place", "proxy.toml", "[[routes]]\nprefix = \"/api/\" <-\n"),
    // Filters.
    (
        "a filter that is misspelt",
        "proxy.toml",
        "[[filter]]\ndenny = { address = \"10.0.0.0/8\" } <-\n",
    ),
    (
        "two filters in one table",
        "proxy.toml",
        "[[filter]] <-\ndeny = { method = \"PUT\" }\nallow = { method = \"GET\" }\n",
    ),
    ("a filter that is no table", "proxy.yaml", "filter:\n  - deny: 10.0.0.0/8 <-\n"),
    (
        "a list that is misspelt",
        "proxy.toml",
        "[[filter]]\ndeny = { adress = [\"10.0.0.0/8\"] } <-\n",
    ),
    (
        "an address that is none",
        "proxy.toml",
        "[[filter]]\ndeny = { address = [\n  \"10.0.0.0/8\",\n  \"10.0.0\", <-\n] }\n",
    ),
    ("a deny without a condition", "proxy.toml", "[[filter]]\ndeny = {} <-\n"),
    (
        "a file that is not there",
        "proxy.toml",
        "[[filter]]\ndeny = { address_file = \"bad-addresses.txt\" } <-\n",
    ),
    ("a size of nothing", "proxy.yaml", "filter:\n  - size: {} <-\n"),
    (
        "a line end in a field",
        "proxy.toml",
        "[[filter]]\nresponse_header = { set = { X-A = \"a\\r\\nX-B: b\" } } <-\n",
    ),
    (
        "a field that is the proxy's own",
        "proxy.toml",
        "[[filter]]\nrequest_header = { remove = [\"Cookie\", \"Content-Length\"] } <-\n",
    ),
    (
        "a group that there is not",
        "proxy.toml",
        "[[filter]]\nrewrite = { regex = \"^/item/(.*)$\", to = \"/i/$2\" } <-\n",
    ),
    ("a rewrite to nothing", "proxy.toml", "[[filter]]\nrewrite = { prefix = \"/api/\" } <-\n"),
    (
        "a status that redirects nobody",
        "proxy.toml",
        "[[filter]]\nredirect = { to = \"/\", status = 200 } <-\n",
    ),
    (
        "a scheme that is none",
        "proxy.toml",
        "[[filter]]\nredirect = { scheme = \"https://\" } <-\n",
    ),
    (
        "a body where none may be",
        "proxy.toml",
        "[[filter]]\nanswer = { status = 204, body = \"gone\" } <-\n",
    ),
    (
        "a password for its hash",
        "proxy.toml",
        "[[filter]]\n[filter.basic_auth.users]\n\"joe.doe\" = \"s3cret\" <-\n",
    ),
    (
        "a filter of a route",
        "proxy.toml",
        "[[routes]]\nmatch = { prefix = \"/a/\" }\nfilter = [\n  { deny = { host = \"*\" } }, <-\n]\n",
    ),
    // The cache.
    ("a cache without room", "proxy.toml", "[cache]\nenabled = true\nsize = \"64KiB\" <-\n"),
    (
        "a cache in the plural",
        "proxy.toml",
        "[cache]\nenabled = true\nstale_while_revalidat = \"10s\" <-\n",
    ),
    (
        "a time to live of a status",
        "proxy.toml",
        "[cache]\nttl_by_status = [{ status = 4040, ttl = \"10s\" }] <-\n",
    ),
    ("a query of which nothing counts", "proxy.toml", "[cache.key]\nquery = { only = [] } <-\n"),
    ("a fraction as a percentage", "proxy.yaml", "cache:\n  heuristic: { fraction: 10 } <-\n"),
    (
        "a Redis in two places",
        "proxy.toml",
        "[cache]\nenabled = true\n[cache.redis]\naddress = \"127.0.0.1:6379\"\naddresses = [\"127.0.0.1:6380\"] <-\n",
    ),
    (
        "a Sentinel that is asked for nobody",
        "proxy.yaml",
        "cache:\n  enabled: true\n  redis: { mode: sentinel } <-\n",
    ),
    (
        "a Redis by its URL",
        "proxy.toml",
        "[cache]\nenabled = true\nredis = { address = \"redis://127.0.0.1/\" } <-\n",
    ),
    // Limits of clients.
    ("a rate of nothing", "proxy.toml", "[[limit.rate]] <-\nby = \"address\"\n"),
    (
        "a rate by what there is not",
        "proxy.toml",
        "[[limit.rate]]\nrequests = 10\nby = \"ip\" <-\n",
    ),
    ("a burst of nothing", "proxy.toml", "[[limit.rate]]\nrequests = 10\nburst = 0 <-\n"),
    ("an order of shedding without a limit", "proxy.toml", "[limit.shed] <-\n"),
    (
        "a Redis without anything to share",
        "proxy.toml",
        "[limit.redis] <-\naddress = \"127.0.0.1:6379\"\n",
    ),
    // Compression.
    (
        "an encoding that is misspelt",
        "proxy.toml",
        "[compression]\nencodings = [\"gzip\", \"brotli\"] <-\n",
    ),
    (
        "a level too high",
        "proxy.toml",
        "[compression]\nenabled = true\nlevels = { gzip = 11 } <-\n",
    ),
    ("a type that is none", "proxy.toml", "[compression]\ntypes = [\"text/*\", \"json\"] <-\n"),
    // Logs and names.
    ("a form of log that there is not", "proxy.toml", "access_log = \"jsn\" <-\n"),
    ("more than every line", "proxy.toml", "[access_log]\nformat = \"json\"\nsample = 10.0 <-\n"),
    ("traces as a percentage", "proxy.toml", "[tracing]\nsampled = 50.0 <-\n"),
    ("a list of everybody", "proxy.toml", "[analytics]\nenabled = true\nkeys = 10000000 <-\n"),
    (
        "an admin listener without a port",
        "proxy.toml",
        "[admin]\nenabled = true\nlisten = \"127.0.0.1\" <-\n",
    ),
];
