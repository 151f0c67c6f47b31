//! The file of the audit log: lines are appended whole, and it may be moved or emptied meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use crate::rate_limited::RateLimitedWarning;

/// Read by whoever the group is, written by us.
const MODE: u32 = 0o640;

/// How much room is kept behind the last line, in bytes: half of it or more, which is a thousand lines and more.
const ROOM: u64 = 1 << 20;

/// The unit of [`fs::Metadata::blocks`].
const BLOCK: u64 = 512;

/// A file that is appended to, under a path that is looked at before each line: logrotate moves the file away, or
/// copies and empties it (`copytruncate`).
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    identity: Identity,
    /// The line whose beginning stands there, and how much of it.
    torn: Option<(Vec<u8>, usize)>,
    moved: RateLimitedWarning,
}

/// A device and an inode.
type Identity = (u64, u64);

impl AuditFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, identity) = open(path)?;
        Ok(Self { path: path.to_owned(), file, identity, torn: None, moved: RateLimitedWarning::default() })
    }

    /// Appends a line. Where only its beginning found room, that is a success, and [`AuditFile::finish`] has the rest.
    ///
    /// # Errors
    /// Nothing of the line is in the file.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.finish()?;
        let written = self.write(line)?;
        if written < line.len() {
            self.torn = Some((line.to_vec(), written));
        }
        Ok(())
    }

    /// Writes the rest of a line of which only the beginning found room.
    ///
    /// # Errors
    /// There is no room for it yet.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let is_another = self.follow()?;
        let Some((line, mut at)) = self.torn.take() else { return Ok(()) };
        // In another file, or in one that was emptied, the line is written from its beginning.
        if is_another || self.file.metadata().is_ok_and(|file| file.len() == 0) {
            at = 0;
        }
        let result = self.write(&line[at..]);
        at += *result.as_ref().unwrap_or(&0);
        if at < line.len() {
            self.torn = Some((line, at));
            return Err(result.err().unwrap_or_else(|| io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// Has the file system keep room for the lines of acts that are under way when others fill the disk. Where it cannot,
    /// as some network file systems, there is no room that is known of, and no error.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn keep_room(&mut self) -> io::Result<()> {
        const CANNOT: [Errno; 4] = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::NODEV, Errno::SPIPE];
        self.finish()?;
        let file = self.file.metadata()?;
        // What is kept goes with the content where the file is emptied, so that what is there is asked for.
        if file.blocks() * BLOCK >= file.len() + ROOM / 2 {
            return Ok(());
        }
        match retry_on_intr(|| fallocate(&self.file, FallocateFlags::KEEP_SIZE, file.len(), ROOM)) {
            Err(error) if !CANNOT.contains(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// There is none.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self.file.write(&bytes[at..]) {
                Ok(0) => break,
                Ok(written) => at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if at == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if at == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(at) }
    }

    /// Opens the file that the path leads to by now, if it is another. Where none can be opened, the one that was moved
    /// away takes the lines, as long as it has a name.
    fn follow(&mut self) -> io::Result<bool> {
        if fs::metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            return Ok(false);
        }
        match open(&self.path) {
            Ok((file, identity)) => {
                (self.file, self.identity) = (file, identity);
                Ok(true)
            }
            Err(error) if self.file.metadata().is_ok_and(|file| file.nlink() > 0) => {
                if self.moved.count().is_some() {
                    let file = self.path.display();
                    tracing::warn!(%file, %error, "audit.file was moved away and cannot be made anew: its lines go on where it was moved to");
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<(File, Identity)> {
    let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
    let identity = identity(&file.metadata()?);
    Ok((file, identity))
}

fn identity(file: &fs::Metadata) -> Identity {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn file() -> (TempDir, PathBuf, AuditFile) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("audit.log");
        let file = AuditFile::open(&path).unwrap();
        (dir, path, file)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_added_to_those_that_stand_there() {
        let (_dir, path, mut file) = file();
        file.append(b"one\n").unwrap();
        drop(file);
        AuditFile::open(&path).unwrap().append(b"two\n").unwrap();
        assert_eq!(text(&path), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o137, 0, "nobody else reads it");
    }

    #[test]
    fn after_a_rename_lines_go_to_a_new_file() {
        let (dir, path, mut file) = file();
        file.append(b"one\n").unwrap();
        let old = dir.path().join("audit.log.1");
        fs::rename(&path, &old).unwrap();
        file.append(b"two\n").unwrap();
        assert_eq!((text(&old), text(&path)), ("one\n".to_owned(), "two\n".to_owned()));
    }

    #[test]
    fn after_a_copytruncate_lines_begin_at_the_beginning() {
        let (_dir, path, mut file) = file();
        file.append(b"one\n").unwrap();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        file.append(b"two\n").unwrap();
        assert_eq!(text(&path), "two\n");
    }

    #[test]
    fn a_file_that_cannot_be_made_anew_goes_on_where_it_was_moved_to_and_a_removed_one_does_not() {
        let dir = TempDir::new().unwrap();
        let (before, after) = (dir.path().join("before"), dir.path().join("after"));
        fs::create_dir(&before).unwrap();
        let mut file = AuditFile::open(&before.join("audit.log")).unwrap();
        fs::rename(&before, &after).unwrap();
        file.append(b"one\n").unwrap();
        assert_eq!(text(&after.join("audit.log")), "one\n");
        fs::remove_dir_all(&after).unwrap();
        assert!(file.append(b"two\n").is_err(), "nobody would ever read it");
    }

    #[test]
    fn a_line_that_was_torn_is_finished_first_and_in_another_file_written_whole() {
        let (dir, path, mut file) = file();
        let tear = |file: &mut AuditFile| {
            file.append(b"on").unwrap();
            file.torn = Some((b"one\n".to_vec(), 2));
        };
        tear(&mut file);
        file.append(b"two\n").unwrap();
        assert_eq!(text(&path), "one\ntwo\n");
        tear(&mut file);
        fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
        file.append(b"two\n").unwrap();
        assert_eq!(text(&path), "one\ntwo\n");
        tear(&mut file);
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        file.finish().unwrap();
        assert_eq!(text(&path), "one\n");
    }

    #[test]
    fn room_is_kept_behind_the_last_line_and_again_where_the_file_was_emptied() {
        let (_dir, path, mut file) = file();
        let kept = || {
            let file = fs::metadata(&path).unwrap();
            (file.len(), file.blocks() * BLOCK)
        };
        for _ in 0..3 {
            file.append(&[b'x'; ROOM as usize]).unwrap();
            file.keep_room().unwrap();
            let (length, room) = kept();
            assert!(room >= length + ROOM / 2, "{length} {room}");
        }
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        file.keep_room().unwrap();
        let (length, room) = kept();
        assert!(length == 0 && room >= ROOM, "{length} {room}");
    }

    #[test]
    fn what_can_keep_no_room_is_written_all_the_same() {
        AuditFile::open(Path::new("/dev/null")).unwrap().keep_room().unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error_of_which_nothing_remains() {
        let mut file = AuditFile::open(Path::new("/dev/full")).unwrap();
        for _ in 0..2 {
            assert_eq!(file.append(b"one\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
            assert!(file.torn.is_none());
        }
    }
}
