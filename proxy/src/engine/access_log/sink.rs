//! Where lines go, off the request's path.
//!
//! Each worker has a desk of its own: a buffer behind a mutex that only it and the writing thread touch, so that a line is written straight to where it
//! waits, and taking the lock costs a worker nothing but the moments in which the thread swaps its buffer for an empty one. The thread is
//! rung when there is something where there was nothing, waits a little for more, and writes all of it at once: a system call for hundreds
//! of lines. A desk is bounded. When the disk does not keep up, lines are dropped and counted, and no request waits.
//!
//! So lines of one worker are in order, those of several nearly.
//!
//! A file is put aside when it would grow over its size, at the end of a line, and opened anew when the operator says so: that is
//! what `logrotate` wants after it has renamed it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use crate::config::{AccessLog, RotateConfig};

/// How many bytes may wait on a desk.
const DESK: usize = 1 << 20;
/// From here on the thread does not wait for more.
const URGENT: usize = 128 << 10;
/// How long it waits for more.
const GATHER: Duration = Duration::from_millis(100);

/// What becomes of lines for which no file is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// They go to standard output.
    Lines,
    /// They go nowhere: standard output is somebody else's.
    Silent,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It will be written.
    Taken,
    /// There was no room for it.
    Dropped,
}

/// Where the lines of all workers go.
#[derive(Debug)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    file: Option<PathBuf>,
    rotate: Option<RotateConfig>,
}

#[derive(Debug)]
struct Shared {
    desks: Box<[Mutex<Vec<u8>>]>,
    orders: Mutex<Orders>,
    bell: Condvar,
    /// Lines that could not be written.
    lost: AtomicU64,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Orders {
    /// There is something on a desk.
    rung: bool,
    /// There is so much of it that waiting for more would lose some.
    urgent: bool,
    reopen: bool,
    stop: bool,
}

/// A panic elsewhere leaves nothing half-done here: vectors of whole lines, and flags.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// For the lines of so many workers; nothing where none would go anywhere. Fails where the file cannot be opened.
    pub(crate) fn open(
        config: &AccessLog,
        workers: usize,
        console: Console,
    ) -> io::Result<Option<Arc<Self>>> {
        if !config.is_on() || (config.file.is_none() && console == Console::Silent) {
            return Ok(None);
        }
        let output = match &config.file {
            None => Output::Console(io::stdout()),
            Some(path) => Output::File(LogFile::open(path, config.rotate.clone())?),
        };
        let shared = Arc::new(Shared {
            desks: (0..workers).map(|_| Mutex::default()).collect(),
            orders: Mutex::default(),
            bell: Condvar::new(),
            lost: AtomicU64::new(0),
        });
        let writing = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || Writer { shared: writing, output, torn: false, failing: false }.run())?;
        Ok(Some(Arc::new(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            file: config.file.clone(),
            rotate: config.rotate.clone(),
        })))
    }

    /// Whether lines of this configuration go to the same place.
    pub(crate) fn serves(&self, config: &AccessLog) -> bool {
        config.is_on() && self.file == config.file && self.rotate == config.rotate
    }

    /// Puts a line onto the worker's desk, where there is room: `write` appends it.
    pub(crate) fn offer(&self, worker: usize, write: impl FnOnce(&mut Vec<u8>)) -> Offer {
        let Some(desk) = self.shared.desks.get(worker) else { return Offer::Dropped };
        let mut desk = lock(desk);
        let before = desk.len();
        if before >= DESK {
            return Offer::Dropped;
        }
        write(&mut desk);
        let after = desk.len();
        drop(desk);
        if before == 0 || (before < URGENT && after >= URGENT) {
            let mut orders = lock(&self.shared.orders);
            orders.rung = true;
            orders.urgent |= after >= URGENT;
            self.shared.bell.notify_one();
        }
        Offer::Taken
    }

    /// Has the file opened anew, because somebody has renamed it.
    pub(crate) fn reopen(&self) {
        lock(&self.shared.orders).reopen = true;
        self.shared.bell.notify_one();
    }

    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }

    /// Writes what is there and ends.
    pub(crate) fn finish(&self) {
        self.stop();
        let thread = lock(&self.thread).take();
        // One that has panicked has said so already.
        let _ = thread.map(thread::JoinHandle::join);
    }

    fn stop(&self) {
        lock(&self.shared.orders).stop = true;
        self.shared.bell.notify_one();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The writing thread.
struct Writer {
    shared: Arc<Shared>,
    output: Output,
    /// The last line was not written whole: the next one must not stand behind its half.
    torn: bool,
    /// It has been said that writing fails.
    failing: bool,
}

enum Output {
    Console(io::Stdout),
    File(LogFile),
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let orders = self.next_orders();
            if orders.reopen
                && let Output::File(file) = &mut self.output
                && let Err(error) = file.reopen()
            {
                let path = file.path.display();
                tracing::error!(%error, "the access log {path} cannot be opened anew; the old one goes on");
            }
            for worker in 0..self.shared.desks.len() {
                mem::swap(&mut *lock(&self.shared.desks[worker]), &mut batch);
                self.write(&batch);
                batch.clear();
            }
            if orders.stop {
                return;
            }
        }
    }

    fn next_orders(&self) -> Orders {
        let Shared { orders, bell, .. } = &*self.shared;
        let nothing = |orders: &mut Orders| !(orders.rung || orders.reopen || orders.stop);
        let orders = bell.wait_while(lock(orders), nothing).unwrap_or_else(PoisonError::into_inner);
        let patient = |orders: &mut Orders| !(orders.urgent || orders.reopen || orders.stop);
        let gathered = bell.wait_timeout_while(orders, GATHER, patient);
        mem::take(&mut gathered.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn write(&mut self, batch: &[u8]) {
        if batch.is_empty() {
            return;
        }
        let torn = mem::take(&mut self.torn);
        let written = match &mut self.output {
            Output::Console(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(batch).and_then(|()| stdout.flush())
            }
            Output::File(file) => file.write(batch, torn),
        };
        match written {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.torn = true;
                let lines = batch.split_inclusive(|byte| *byte == b'\n').count();
                self.shared.lost.fetch_add(lines as u64, Relaxed);
                // Once, and not once a line.
                if !mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the access log cannot be written");
                }
            }
        }
    }
}

/// A file that is put aside when it has grown large.
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    rotate: Option<RotateConfig>,
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl LogFile {
    fn open(path: &Path, rotate: Option<RotateConfig>) -> io::Result<Self> {
        let (file, size) = append(path)?;
        Ok(Self { path: path.to_owned(), file, size, rotate })
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.size) = append(&self.path)?;
        Ok(())
    }

    /// Writes whole lines, over several files if need be.
    fn write(&mut self, lines: &[u8], torn: bool) -> io::Result<()> {
        if torn {
            self.put(b"\n")?;
        }
        let Some(most) = self.rotate.as_ref().map(|rotate| rotate.size.0) else {
            return self.put(lines);
        };
        let mut rest = lines;
        while !rest.is_empty() {
            let here = fitting(rest, most.saturating_sub(self.size));
            // A line that is larger than a file has one of its own.
            let here = if here == 0 && self.size == 0 { fitting(rest, u64::MAX) } else { here };
            self.put(&rest[..here])?;
            rest = &rest[here..];
            if !rest.is_empty() {
                self.put_aside();
            }
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Renames the file and those that were before it, each by one, and begins another.
    fn put_aside(&mut self) {
        let keep = self.rotate.as_ref().map_or(0, |rotate| rotate.keep);
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let renamed = if keep == 0 {
            std::fs::remove_file(&self.path)
        } else {
            let older = (1..keep).take_while(|number| numbered(*number).exists()).count() as u32;
            for number in (1..=older).rev() {
                // One that cannot be moved is written over, and that is what rotation is for.
                let _ = std::fs::rename(numbered(number), numbered(number + 1));
            }
            std::fs::rename(&self.path, numbered(1))
        };
        if let Err(error) = renamed.and_then(|()| self.reopen()) {
            let path = self.path.display();
            tracing::error!(%error, "the access log {path} cannot be put aside; it grows on");
            // It is tried again when as much has come once more.
            self.size = 0;
        }
    }
}

/// How many of these bytes are whole lines that fit into `room`; the first line at least, where there is all the room of the world.
fn fitting(lines: &[u8], room: u64) -> usize {
    if lines.len() as u64 <= room && room != u64::MAX {
        return lines.len();
    }
    let end_of_first =
        || lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1);
    if room == u64::MAX {
        return end_of_first();
    }
    lines[..room as usize].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_desk_is_bounded() {
        // Nobody writes: the disk has stopped.
        let shared = Shared {
            desks: Box::new([Mutex::default()]),
            orders: Mutex::default(),
            bell: Condvar::new(),
            lost: AtomicU64::new(0),
        };
        let sink =
            Sink { shared: Arc::new(shared), thread: Mutex::default(), file: None, rotate: None };
        let line = |out: &mut Vec<u8>| out.extend_from_slice(&[b'x'; 1000]);
        let taken = (0..5000).filter(|_| sink.offer(0, line) == Offer::Taken).count();
        assert_eq!(taken, DESK.div_ceil(1000));
        assert_eq!(sink.offer(1, line), Offer::Dropped, "there is no such desk");
        let orders = lock(&sink.shared.orders);
        assert!(orders.rung && orders.urgent);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// However lines come in batches: no file is larger than it may be unless it is a line, and together they are what was written.
        #[test]
        fn files_hold_whole_lines(
            batches in prop::collection::vec(prop::collection::vec(1_usize..90, 1..12), 1..12),
            most in 40_u64..200,
        ) {
            let folder = tempfile::tempdir().expect("a folder for temporary files");
            let path = folder.path().join("log");
            let rotate = RotateConfig { size: policy::quantity::ByteSize(most), keep: 1000 };
            let mut file = LogFile::open(&path, Some(rotate)).expect("there is room");
            let mut all = Vec::new();
            for batch in &batches {
                let mut bytes = Vec::new();
                for length in batch {
                    bytes.extend((1..*length).map(|at| b'a' + (at % 26) as u8));
                    bytes.push(b'\n');
                }
                file.write(&bytes, false).expect("there is room");
                all.extend(bytes);
            }
            let numbered = |number: usize| folder.path().join(format!("log.{number}"));
            let older = (1..2000).take_while(|number| numbered(*number).exists()).count();
            let paths = (1..=older).rev().map(numbered).chain([path.clone()]);
            let mut found = Vec::new();
            for path in paths {
                let bytes = std::fs::read(path).expect("it is there");
                let lines = bytes.iter().map(|byte| usize::from(*byte == b'\n')).sum::<usize>();
                prop_assert!(bytes.ends_with(b"\n"));
                prop_assert!(bytes.len() as u64 <= most || lines == 1);
                found.extend(bytes);
            }
            prop_assert_eq!(found, all);
        }
    }
}
