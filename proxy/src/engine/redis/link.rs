//! Connections to a real Redis.
//!
//! A thread keeps as many as are wanted: it opens them, and opens them anew when it is told that they are no good. Whoever calls takes the
//! next one that is there; where none is, the call has failed at once. So no request ever waits for a connection, and a password, a
//! master or the nodes of a Cluster are looked up again for each. To a single Redis it is a `ConnectionManager`, which
//! comes back by itself after a connection that broke; a Cluster's looks after its nodes' connections; behind Sentinels
//! a broken one means that they are asked again who is the master.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use net::Clock;
use policy::{
    Rng, Seed,
    redis::{RedisConfig, RedisMode},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError,
    ServerErrorKind, Value,
    aio::{ConnectionLike as _, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::{Notify, watch};

use super::{Failed, Script, Unavailable};

/// Between two tries to connect: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Connections, and the thread that keeps them.
#[derive(Debug)]
pub(super) struct Link {
    slots: Arc<[Slot]>,
    next: AtomicUsize,
    /// Dropped with this: then the thread ends.
    _stop: watch::Sender<()>,
}

#[derive(Default)]
struct Slot {
    connection: Mutex<Option<Connection>>,
    /// Whether a first try to connect has ended.
    tried: AtomicBool,
    renew: Notify,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

#[derive(Clone)]
enum Connection {
    Managed(ConnectionManager),
    ToMaster(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) fn new(config: &RedisConfig, seed: Seed) -> Self {
        let slots: Arc<[Slot]> = (0..config.connections).map(|_| Slot::default()).collect();
        let (stop, stopped) = watch::channel(());
        let (kept, config) = (Arc::clone(&slots), config.clone());
        let started = thread::Builder::new()
            .name("redis".to_owned())
            .spawn(move || keep_all(&kept, &Arc::new(config), stopped, seed));
        if let Err(error) = started {
            tracing::error!(%error, "there is no thread for the connections to Redis");
        }
        Self { slots, next: AtomicUsize::new(0), _stop: stop }
    }

    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, Failed> {
        let (slot, mut connection) = self.take()?;
        let result = connection.call(command).await;
        result.map_err(|error| judge(slot, &connection, error))
    }

    /// By the script's hash; its text is sent where Redis does not know it.
    pub(super) async fn eval(
        &self,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Failed> {
        let (slot, mut connection) = self.take()?;
        let command = |name: &str, what: &str| {
            let mut command = redis::cmd(name);
            command.arg(what).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let mut result = connection.call(&command("EVALSHA", &script.hash)).await;
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        if result.as_ref().is_err_and(|error| error.kind() == unknown) {
            result = connection.call(&command("EVAL", script.lua)).await;
        }
        result.map_err(|error| judge(slot, &connection, error))
    }

    /// Opens all connections anew.
    pub(super) fn renew(&self) {
        for slot in &*self.slots {
            slot.renew.notify_one();
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        let is_there =
            |slot: &Slot| slot.connection.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.slots.iter().any(is_there)
    }

    /// The next connection that is there.
    fn take(&self) -> Result<(&Slot, Connection), Failed> {
        let first = self.next.fetch_add(1, Relaxed);
        let mut any_tried = false;
        for step in 0..self.slots.len() {
            let slot = &self.slots[first.wrapping_add(step) % self.slots.len()];
            let connection = slot.connection.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(connection) = &*connection {
                return Ok((slot, connection.clone()));
            }
            any_tried |= slot.tried.load(Relaxed);
        }
        // Just started: that there is no connection yet says nothing of the other side.
        Err(Failed::new(if any_tried { Unavailable::Lost } else { Unavailable::Busy }))
    }
}

/// What an error means for the call, and for the connection that it came over.
fn judge(slot: &Slot, connection: &Connection, error: RedisError) -> Failed {
    let demoted = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
    let gone = error.is_unrecoverable_error() && matches!(connection, Connection::ToMaster(_));
    if demoted || gone {
        slot.renew.notify_one();
    }
    Failed::from(error)
}

impl Connection {
    async fn call(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let value = match self {
            Self::Managed(connection) => connection.req_packed_command(command).await,
            Self::ToMaster(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        value.and_then(Value::extract_error)
    }
}

fn keep_all(
    slots: &Arc<[Slot]>,
    config: &Arc<RedisConfig>,
    mut stopped: watch::Receiver<()>,
    seed: Seed,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "there is no runtime for the connections to Redis");
            return;
        }
    };
    runtime.block_on(async {
        for place in 0..slots.len() {
            let (slots, config) = (Arc::clone(slots), Arc::clone(config));
            let rng = seed.nth(place as u64).rng();
            tokio::spawn(async move { keep(&slots[place], &config, rng).await });
        }
        // Ends when the other side is dropped, and all connections with it.
        while stopped.changed().await.is_ok() {}
    });
}

/// Keeps one connection open.
async fn keep(slot: &Slot, config: &RedisConfig, mut rng: Rng) {
    let clock = Clock::real();
    let mut pause = PAUSES[0];
    loop {
        let connected = clock.timeout(config.connect.0 * 2, connect(config)).await;
        let connected =
            connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        match connected {
            Ok(connection) => {
                put(slot, Some(connection));
                slot.tried.store(true, Relaxed);
                pause = PAUSES[0];
                slot.renew.notified().await;
                put(slot, None);
            }
            Err(error) => {
                slot.tried.store(true, Relaxed);
                tracing::debug!(%error, "no connection to Redis");
            }
        }
        clock.sleep(pause.mul_f64(1.0 - 0.5 * rng.unit())).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

fn put(slot: &Slot, connection: Option<Connection>) {
    *slot.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
}

/// The password, from wherever it is.
fn password(config: &RedisConfig) -> Result<Option<String>, RedisError> {
    let wrong = |what: String| RedisError::from((ErrorKind::InvalidClientConfig, "password", what));
    if let Some(path) = &config.password_file {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
    }
    if let Some(name) = &config.password_variable {
        let value = std::env::var(name);
        return value.map(Some).map_err(|error| wrong(format!("variable {name}: {error}")));
    }
    Ok(config.password.as_ref().map(|password| password.0.clone()))
}

async fn connect(config: &RedisConfig) -> Result<Connection, RedisError> {
    let password = password(config)?;
    let hosts = config.hosts().unwrap_or_default();
    let mut addresses = hosts.into_iter().map(|(host, port)| ConnectionAddr::Tcp(host, port));
    match config.mode {
        RedisMode::Single => {
            let address = addresses.next();
            let address = address.ok_or((ErrorKind::InvalidClientConfig, "there is no address"))?;
            let info = address.into_connection_info()?;
            let mut settings = info.redis_settings().clone().set_db(i64::from(config.db));
            if let Some(username) = &config.username {
                settings = settings.set_username(username);
            }
            if let Some(password) = password {
                settings = settings.set_password(password);
            }
            let how = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(config.connect.0))
                // Calls have their own deadline, and the breaker says when to try again.
                .set_response_timeout(None)
                .set_number_of_retries(0);
            let client = Client::open(info.set_redis_settings(settings))?;
            ConnectionManager::new_with_config(client, how).await.map(Connection::Managed)
        }
        RedisMode::Sentinel => {
            let master = config.master.as_deref().unwrap_or_default();
            let mut builder =
                SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
                    .set_client_to_redis_db(i64::from(config.db));
            if let Some(username) = &config.username {
                builder = builder.set_client_to_redis_username(username);
            }
            if let Some(password) = password {
                builder = builder.set_client_to_redis_password(password);
            }
            let how = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(config.connect.0))
                .set_response_timeout(None);
            let mut client = builder.build()?;
            client.get_async_connection_with_config(&how).await.map(Connection::ToMaster)
        }
        RedisMode::Cluster => {
            let mut builder = ClusterClientBuilder::new(addresses)
                .connection_timeout(config.connect.0)
                .response_timeout(config.deadline.0)
                .retries(1);
            if let Some(username) = &config.username {
                builder = builder.username(username);
            }
            if let Some(password) = password {
                builder = builder.password(password);
            }
            builder.build()?.get_async_connection().await.map(Connection::Cluster)
        }
    }
}
