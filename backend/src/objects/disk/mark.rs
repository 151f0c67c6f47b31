//! What is kept beside the bytes of a file: the time at which it was written, and a mark, which is the fraction of the
//! second of that time.
//!
//! Who writes the file without knowing of it says another time, and so drops the mark: another's time has the same fraction
//! once in a thousand million. A copy of the directory that drops fractions of seconds drops the marks, too.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::lock::held;
use crate::objects::{Stat, Version};

/// The one mark that there is.
const MARK: &str = "1";

/// Nanoseconds; a multiple of 100, which every file system of today keeps.
const FRACTION: u32 = 104_090_700;

/// The time at which a file was written last.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Duration>);

impl Written {
    /// Now, for a file with this mark: to the second. Without a mark no two writes have one time, so that it tells the
    /// states of a file from each other.
    pub(super) fn now(&self, mark: Option<&str>) -> SystemTime {
        debug_assert!(mark.is_none_or(|mark| mark == MARK), "there is no place for another");
        let now = since_epoch(SystemTime::now());
        let since = if mark.is_some() {
            Duration::new(now.as_secs(), FRACTION)
        } else {
            let mut last = held(self.0.lock());
            *last = now.max(*last + Duration::from_nanos(100));
            if last.subsec_nanos() == FRACTION {
                *last += Duration::from_nanos(100);
            }
            *last
        };
        SystemTime::UNIX_EPOCH + since
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// What is known of a file.
pub(super) fn stat(metadata: &Metadata) -> io::Result<Stat> {
    let modified = metadata.modified()?;
    let since = since_epoch(modified);
    let is_marked = since.subsec_nanos() == FRACTION;
    // Every file that is read has one, and mostly nobody looks at it: it is to cost little.
    let state = [since.as_secs(), since.subsec_nanos().into(), metadata.ino()].map(u64::to_be_bytes);
    let version = Version(STANDARD_NO_PAD.encode(state.as_flattened()));
    Ok(Stat { size: metadata.len(), modified, version, mark: is_marked.then(|| MARK.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_time_is_still_that_second_and_no_two_others_are_alike() {
        let (written, second) = (Written::default(), since_epoch(SystemTime::now()).as_secs());
        let marked = since_epoch(written.now(Some(MARK)));
        assert_eq!(marked.subsec_nanos(), FRACTION);
        assert!(marked.as_secs() - second <= 1);
        let mut times: Vec<_> = (0..1000).map(|_| written.now(None)).collect();
        times.dedup();
        assert_eq!(times.len(), 1000);
        *held(written.0.lock()) = Duration::new(u64::from(u32::MAX), FRACTION - 100);
        assert_ne!(since_epoch(written.now(None)).subsec_nanos(), FRACTION, "that would be a mark");
    }
}
