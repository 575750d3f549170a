//! A log file that does not grow for ever: when it is full it takes the place of the one before it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a full file.
const FULL: u64 = 20 * 1024 * 1024;

/// The file that is being written.
pub struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    full: u64,
}

impl LogFile {
    /// Goes on with the file at `path`, or begins it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length, full: FULL })
    }

    fn turn_over(&mut self) -> io::Result<()> {
        let mut before = OsString::from(&self.path);
        before.push(".1");
        rename(&self.path, before)?;
        self.file = append(&self.path)?;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.length >= self.full {
            self.length = 0;
            if let Err(error) = self.turn_over() {
                // Better too long than silent.
                writeln!(self.file, "dialroom-media: the log cannot be turned over: {error}")?;
            }
        }
        let written = self.file.write(line)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, read_to_string, remove_dir_all, remove_file};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("dialroom-log-{name}-{}", std::process::id()));
        create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_full_file_takes_the_place_of_the_one_before_and_lines_stay_whole() {
        let folder = folder("full");
        let path = folder.join("media.log");
        std::fs::write(&path, "0\n").unwrap();
        let mut log = LogFile::open(&path).unwrap();
        log.full = 8;
        for number in 1..=9 {
            log.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert_eq!(read_to_string(folder.join("media.log.1")).unwrap(), "4\n5\n6\n7\n");
        assert_eq!(read_to_string(&path).unwrap(), "8\n9\n");
        remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_turned_over_is_written_on() {
        let folder = folder("stuck");
        let path = folder.join("media.log");
        let mut log = LogFile::open(&path).unwrap();
        log.full = 1;
        log.write_all(b"1\n").unwrap();
        remove_file(&path).unwrap();
        log.write_all(b"2\n").unwrap();
        log.write_all(b"3\n").unwrap();
        remove_dir_all(&folder).unwrap();
    }
}
