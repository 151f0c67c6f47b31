//! A disk that takes nothing and says nothing.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat};

use super::*;

/// As one that is far away, until somebody reads.
struct Stuck {
    dir: TempDir,
    reader: fs::File,
}

impl Stuck {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("audit.log");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let mut open = fs::OpenOptions::new();
        open.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let reader = open.clone().read(true).open(&path).unwrap();
        let mut writer = open.write(true).open(path).unwrap();
        while writer.write(b"\n").is_ok() {}
        Self { dir, reader }
    }

    /// Its audit log, with as many lines in the queue as have room there; and how many lines were told.
    async fn audit(&self, on_full: OnFull) -> (Arc<Audit>, usize) {
        let audit = audit(&self.dir.path().join("audit.log"), on_full);
        audit.admit().await.unwrap();
        audit.note(&push("bob"));
        eventually("the thread has a line in its hand", || room(&audit).queued == 0).await;
        let mut told = 1;
        while room(&audit).is_left() {
            assert!(told < 10_000, "the queue has no end");
            audit.note(&push("bob"));
            told += 1;
        }
        (audit, told)
    }

    /// Reads until there are so many lines.
    async fn lines(&mut self, count: usize) -> Vec<Value> {
        let (mut text, mut some) = (Vec::new(), [0; 1 << 16]);
        let lines = |text: &[u8]| -> Vec<Value> {
            let whole =
                text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.len() > 1 && line.ends_with(b"\n"));
            whole.map(|line| serde_json::from_slice(line).expect("a whole line")).collect()
        };
        eventually("all lines", || {
            while let Ok(read @ 1..) = self.reader.read(&mut some) {
                text.extend_from_slice(&some[..read]);
            }
            lines(&text).len() >= count
        })
        .await;
        lines(&text)
    }
}

#[tokio::test]
async fn on_a_stuck_disk_no_act_begins_and_no_line_of_those_under_way_is_lost() {
    for on_full in [OnFull::Wait, OnFull::Refuse] {
        let mut disk = Stuck::new();
        let (audit, told) = disk.audit(on_full).await;
        timeout(Duration::from_millis(1), audit.admit()).await.expect_err("the next act does not begin yet");
        for _ in 0..500 {
            audit.note(&push("who was admitted before, and has left"));
        }
        assert_eq!(disk.lines(told + 500).await.len(), told + 500, "and none is counted as lost");
        audit.admit().await.unwrap();
    }
}

#[tokio::test]
async fn on_a_stuck_disk_drop_goes_on_and_counts_who_left_before_there_was_room_in_the_queue() {
    let mut disk = Stuck::new();
    let (audit, told) = disk.audit(OnFull::Drop).await;
    audit.admit().await.unwrap();
    for _ in 0..7 {
        timeout(Duration::from_millis(1), audit.write(push("carol"))).await.expect_err("there is no room");
    }
    audit.note(&push("bob"));
    let lines = disk.lines(told + 1).await;
    assert_eq!(lines.iter().filter_map(|line| line["count"].as_u64()).sum::<u64>(), 8);
}
