//! A file that is read again when it changes, so that it can be edited while the edge runs.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Time, length and identity: the clock of a file system ticks every few milliseconds, and a new version may be as long as
/// the old one.
type Stamp = (Option<SystemTime>, u64, u64);

/// The parsed content of a file. A version that cannot be read is reported and the last good one stays.
pub(crate) struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> Result<T, String>,
    current: Mutex<(Stamp, Arc<T>)>,
}

impl<T> Watched<T> {
    /// Reads the file for the first time; a mistake in it is an error.
    pub(crate) fn open(path: PathBuf, parse: fn(&str) -> Result<T, String>) -> Result<Watched<T>, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let stamp = stamp(&path).map_err(named)?;
        let value = read(&path, parse).map_err(named)?;
        Ok(Watched { path, parse, current: Mutex::new((stamp, Arc::new(value))) })
    }

    /// The content, and a complaint when a new version was found unreadable just now.
    pub(crate) fn get(&self) -> (Arc<T>, Option<String>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut complaint = None;
        match stamp(&self.path) {
            Ok(stamp) if stamp == current.0 => {}
            Ok(stamp) => {
                // Remembered also for a bad version: one complaint is enough.
                current.0 = stamp;
                match read(&self.path, self.parse) {
                    Ok(value) => current.1 = Arc::new(value),
                    Err(error) => complaint = Some(format!("{}: {error}", self.path.display())),
                }
            }
            // Editors replace files; while it is gone the last good version is served.
            Err(_) => {}
        }
        (Arc::clone(&current.1), complaint)
    }
}

fn stamp(path: &PathBuf) -> Result<Stamp, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    Ok((metadata.modified().ok(), metadata.len(), identity(&metadata)))
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> u64 {
    0
}

fn read<T>(path: &PathBuf, parse: fn(&str) -> Result<T, String>) -> Result<T, String> {
    parse(&fs::read_to_string(path).map_err(|error| error.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_and_mistakes_keep_the_last_good_version() {
        let path = std::env::temp_dir().join(format!("target-edge-watched-{}", std::process::id()));
        let number = |text: &str| text.parse::<i32>().map_err(|error| error.to_string());
        assert!(Watched::open(path.clone(), number).is_err(), "absent file");
        fs::write(&path, "1").unwrap();
        let watched = Watched::open(path.clone(), number).unwrap();
        assert_eq!(*watched.get().0, 1);
        fs::write(&path, "22").unwrap();
        assert_eq!(*watched.get().0, 22);
        fs::write(&path, "oops").unwrap();
        let (value, complaint) = watched.get();
        assert_eq!(*value, 22);
        assert!(complaint.unwrap().contains("invalid digit"));
        assert_eq!(watched.get().1, None, "said once");
        fs::remove_file(&path).unwrap();
        assert_eq!(*watched.get().0, 22);
    }
}
