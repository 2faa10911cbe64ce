//! When the command has to end.

use std::io;

use tokio::sync::oneshot;

#[cfg(unix)]
type Signal = tokio::signal::unix::Signal;
#[cfg(windows)]
type Signal = tokio::signal::windows::CtrlC;

/// SIGTERM, SIGINT and, if asked for, the end of standard input.
pub struct Stop {
    #[cfg(unix)]
    terminate: Signal,
    interrupt: Signal,
    parent_gone: Option<oneshot::Receiver<()>>,
}

impl Stop {
    /// Listens from now on, on the current runtime. To be called before anybody is told that the edge runs: a signal
    /// that comes earlier kills the process without its exit status.
    pub fn listen(with_parent: bool) -> io::Result<Stop> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Stop {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(windows)]
            interrupt: tokio::signal::windows::ctrl_c()?,
            parent_gone: if with_parent { Some(watch_stdin()?) } else { None },
        })
    }

    /// Waits for the first of them.
    pub async fn wait(mut self) {
        let parent_gone = async {
            match self.parent_gone {
                // An error means that the sender is gone, which says the same.
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        #[cfg(unix)]
        let terminate = self.terminate.recv();
        #[cfg(windows)]
        let terminate = std::future::pending::<Option<()>>();
        tokio::select! {
            () = parent_gone => {}
            _ = self.interrupt.recv() => {}
            _ = terminate => {}
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
