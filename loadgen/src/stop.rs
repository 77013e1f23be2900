//! Ending a run early, from this thread or another.

use tokio::sync::watch;

/// Ends the runs that hold its [`Stop`].
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Says when to end.
#[derive(Clone, Debug)]
pub struct Stop(Option<watch::Receiver<bool>>);

impl Stopper {
    /// A stopper, and what it stops.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(Some(receiver)))
    }

    /// Ends the runs. What is under way is given up.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// One that never says so.
    pub fn never() -> Self {
        Self(None)
    }

    /// Waits for the word; for ever when nobody can say it any more.
    pub async fn stopped(&mut self) {
        if let Some(receiver) = &mut self.0
            && receiver.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
