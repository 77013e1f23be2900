//! The analytics as a page for a person: tables, and no script.
//!
//! Names in it come from strangers, and are escaped for that.

use std::fmt::{self, Write as _};

use policy::analytics::{Figures, Summary, TopLine};

/// The minutes that are shown.
const MINUTES: u64 = 60;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Analytics</title><style>\
body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}table{border-collapse:collapse;margin:0 0 2em}\
th,td{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left;\
max-width:40em;overflow-wrap:anywhere}h2{font-size:1.1em}</style>";

/// The page.
pub(crate) fn page(summary: &Summary, workers: usize) -> String {
    let mut out = String::from(HEAD);
    // Writing to a string cannot fail.
    let _ = write(&mut out, summary, workers);
    out
}

fn write(out: &mut String, summary: &Summary, workers: usize) -> fmt::Result {
    let Summary { requests, error_at_most, .. } = summary;
    write!(
        out,
        "<h1>Analytics</h1><p>{requests} requests over {workers} workers since they began. A count in a top list may be too high \
         by what stands beside it, never by more than {error_at_most}, and never too low."
    )?;
    let lists = [
        ("Paths", &summary.paths),
        ("Clients", &summary.clients),
        ("User agents", &summary.user_agents),
        ("Referrers", &summary.referers),
    ];
    for (title, list) in lists {
        if !list.is_empty() {
            top(out, title, list)?;
        }
    }
    heads(out, "Routes in the last day", "route")?;
    for line in &summary.routes {
        let name = if line.route.is_empty() { "(no route)" } else { &line.route };
        row(out, &Escaped(name), &line.figures)?;
    }
    out.write_str("</table>")?;
    heads(out, "The last hour", "minutes ago")?;
    for line in summary.minutes.iter().take_while(|line| line.ago < MINUTES) {
        row(out, &line.ago, &line.figures)?;
    }
    out.write_str("</table></html>\n")
}

fn top(out: &mut String, title: &str, list: &[TopLine]) -> fmt::Result {
    write!(out, "<h2>{title}</h2><table><tr><th>name<th>at most<th>too high by at most")?;
    for TopLine { name, count, error } in list {
        write!(out, "<tr><td>{}<td>{count}<td>{error}", Escaped(name))?;
    }
    out.write_str("</table>")
}

fn heads(out: &mut String, title: &str, first: &str) -> fmt::Result {
    write!(
        out,
        "<h2>{title}</h2><table><tr><th>{first}<th>requests<th>2xx<th>3xx<th>4xx<th>5xx<th>bytes sent<th>p50, ms<th>p99, ms<th>cache"
    )
}

fn row(out: &mut String, name: &dyn fmt::Display, figures: &Figures) -> fmt::Result {
    write!(out, "<tr><td>{name}<td>{}", figures.requests)?;
    for class in ["2xx", "3xx", "4xx", "5xx"] {
        write!(out, "<td>{}", figures.by_status.get(class).unwrap_or(&0))?;
    }
    write!(out, "<td>{}", figures.bytes_sent)?;
    for quantile in [figures.p50_ms_at_most, figures.p99_ms_at_most] {
        match quantile {
            Some(bound) => write!(out, "<td>≤ {bound}")?,
            None => out.write_str("<td>&gt; 10000")?,
        }
    }
    match figures.cache_ratio {
        Some(ratio) => write!(out, "<td>{:.1} %", ratio * 100.0),
        None => out.write_str("<td>"),
    }
}

/// A text that comes from a stranger.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}
