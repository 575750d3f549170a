//! The threads of the process, and what a bug in one of them ends.
//!
//! A bug ends the piece of work it came up in, as small as that can be: a message, a connection, a recording. Where
//! nothing smaller is left, it ends the process with a status that says so, and the control plane starts another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tracing::error;

use crate::syscall::Waker;

/// Panics that are logged; of those after them, one in so many. A bug may come up 50 times a second.
const LOGGED_PANICS: u64 = 100;

/// Ends the process, from any thread.
#[derive(Clone)]
pub struct End(Arc<State>);

struct State {
    due: AtomicBool,
    failure: Mutex<Option<String>>,
    waker: Arc<Waker>,
}

impl End {
    /// Nothing ends yet; `waker` will wake the packet thread when it does.
    pub fn new(waker: Arc<Waker>) -> Self {
        Self(Arc::new(State { due: AtomicBool::new(false), failure: Mutex::new(None), waker }))
    }

    /// Ends the process in good order.
    pub fn begin(&self) {
        self.0.due.store(true, Ordering::Relaxed);
        self.0.waker.wake();
    }

    /// Ends the process as one that failed.
    fn fail(&self, reason: String) {
        if !self.is_due() {
            error!(reason, "the media process cannot go on");
        }
        if let Ok(mut failure) = self.0.failure.lock() {
            failure.get_or_insert(reason);
        }
        self.begin();
    }

    /// Whether the process is to end.
    pub fn is_due(&self) -> bool {
        self.0.due.load(Ordering::Relaxed)
    }

    /// What the process failed of, if it did.
    pub fn failure(&self) -> Option<String> {
        self.0.failure.lock().ok().and_then(|failure| failure.clone())
    }
}

/// Starts a thread without which the process is of no use: when it ends, in whatever way, so does the process.
pub fn start_vital(name: &str, end: &End, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let (label, end) = (name.to_owned(), end.clone());
    let guarded = move || {
        let how = if survives(work) { "came to its end" } else { "was ended by a bug" };
        end.fail(format!("the thread {label:?} {how}"));
    };
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(guarded);
    started.map(drop).map_err(|error| format!("the system gives no thread: {error}"))
}

/// Does a piece of work whose bugs are its own; false if one came up.
pub fn survives(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_ok()
}

/// Makes each bug one line of the log, like everything else that happens.
pub fn log_panics() {
    let count = AtomicU64::new(0);
    std::panic::set_hook(Box::new(move |panic| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        if number > LOGGED_PANICS && !number.is_multiple_of(LOGGED_PANICS) {
            return;
        }
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        error!(thread, place, number, "a bug: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn end() -> (End, Arc<Waker>) {
        let waker = Arc::new(Waker::new().unwrap());
        (End::new(waker.clone()), waker)
    }

    #[test]
    fn a_bug_in_a_vital_thread_ends_the_process_and_says_which_it_was() {
        let (end, waker) = end();
        start_vital("ears", &end, || panic!("a bug")).unwrap();
        waker.sleep(Duration::from_secs(60));
        assert!(end.is_due());
        assert!(end.failure().is_some_and(|failure| failure.contains("ears") && failure.contains("bug")));
    }

    #[test]
    fn a_vital_thread_that_merely_stops_ends_the_process_too() {
        let (end, waker) = end();
        start_vital("ears", &end, || ()).unwrap();
        waker.sleep(Duration::from_secs(60));
        assert!(end.failure().is_some());
    }

    #[test]
    fn an_end_in_good_order_is_no_failure() {
        let (end, waker) = end();
        assert!(!end.is_due());
        end.begin();
        waker.sleep(Duration::from_secs(60));
        assert!(end.is_due() && end.failure().is_none());
    }
}
