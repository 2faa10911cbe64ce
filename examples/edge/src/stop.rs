//! When the command has to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::sync::oneshot;

/// How long a signal may go unnoticed.
const LOOK: Duration = Duration::from_millis(20);

/// SIGTERM, SIGINT and, if asked for, the end of standard input.
///
/// Not tokio's signals: cargo unifies features, and in a build of the whole workspace the runtime inside the shared
/// library would have a signal driver too, which belongs to the process and not to a library.
pub struct Stop {
    signalled: Arc<AtomicBool>,
    parent_gone: Option<oneshot::Receiver<()>>,
}

impl Stop {
    /// Listens from now on. To be called before anybody is told that the edge runs: a signal that comes earlier kills
    /// the process without its exit status.
    pub fn listen(with_parent: bool) -> io::Result<Stop> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&signalled))?;
        }
        Ok(Stop { signalled, parent_gone: if with_parent { Some(watch_stdin()?) } else { None } })
    }

    /// Waits for the first of them.
    pub async fn wait(self) {
        let parent_gone = async {
            match self.parent_gone {
                // An error means that the sender is gone, which says the same.
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        let signalled = async {
            while !self.signalled.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = parent_gone => {}
            () = signalled => {}
        }
    }
}

fn watch_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        // An unreadable standard input is one that has ended.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Nobody waits for it when a signal came first.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}
