//! The copy of the artifact on disk, for starting without a network.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file's bytes; an error if it is no regular file or larger than `cap`.
pub(super) fn read(path: &Path, cap: usize) -> io::Result<Vec<u8>> {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let meta = fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(cap as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > cap {
        return Err(io::Error::other(format!("it is larger than the limit of {cap} bytes")));
    }
    Ok(bytes)
}

/// Replaces the file: readers see the old text or the new one, also after a crash. Only its owner may read it.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or_else(|| io::Error::other("it has no file name"))?.to_owned();
    name.push(format!(".{}-{:016x}.tmp", std::process::id(), fastrand::u64(..)));
    let temporary = path.with_file_name(name);
    let written = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What matters is the first error; the file may not even exist.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &PathBuf, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_private() {
        let directory = std::env::temp_dir().join(format!("target-sdk-file-{:016x}", fastrand::u64(..)));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("rules.json");
        write(&path, "old").unwrap();
        write(&path, "new text").unwrap();
        assert_eq!(read(&path, 8).unwrap(), b"new text");
        assert!(read(&path, 7).is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no temporary file stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(read(&directory, 100).is_err());
        assert!(read(&directory.join("none"), 100).is_err());
        assert!(write(&directory.join("none").join("rules.json"), "x").is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
