//! A person, or whoever supervises the program, wants it to end.
//!
//! The first SIGINT or SIGTERM ends the run that is under way in good order: what was measured so far is reported. The
//! second ends the program at once, because whoever asks twice does not want to wait. The signals are received on a thread of
//! their own, for the whole life of the program, so that none is lost between two runs.

use std::{io, thread};

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::cli::Exit;

/// Whether the end is wanted, for any number of readers.
#[derive(Clone, Debug)]
pub struct Interrupt(Option<watch::Receiver<bool>>);

/// What a run is ended with by hand.
#[derive(Debug)]
pub struct Cord(watch::Sender<bool>);

impl Cord {
    /// Ends it, in good order.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

impl Interrupt {
    /// Nobody will interrupt.
    pub fn never() -> Self {
        Self(None)
    }

    /// One that is pulled by the program itself: for a run that is to end because another one has said enough.
    pub fn by_hand() -> (Cord, Self) {
        let (sender, receiver) = watch::channel(false);
        (Cord(sender), Self(Some(receiver)))
    }

    /// From now on SIGINT and SIGTERM are for us. Call it once.
    ///
    /// # Errors
    /// When there is no thread or no signal handler to be had.
    pub fn of_signals() -> io::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (interrupt, terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let obey = async move {
            either(interrupt, terminate, |count| {
                if count > 1 {
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
                eprintln!("\ninterrupted: the report is written; once more ends it at once");
                sender.send_replace(true);
            })
            .await;
        };
        thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(obey))?;
        Ok(Self(Some(receiver)))
    }

    /// Whether the end is wanted now.
    pub fn is_wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|receiver| *receiver.borrow())
    }

    /// Waits until the end is wanted; for ever when nobody can want it.
    pub async fn wanted(&mut self) {
        if let Some(receiver) = &mut self.0
            && receiver.wait_for(|wanted| *wanted).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Calls `each` with the number of signals so far, at each of them.
async fn either(mut one: Signal, mut other: Signal, mut each: impl FnMut(u32)) {
    for count in 1.. {
        tokio::select! {
            biased;
            _ = one.recv() => {}
            _ = other.recv() => {}
        }
        each(count);
    }
}
