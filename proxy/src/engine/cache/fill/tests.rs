//! What those who follow find, however it comes and whenever they look.

use policy::cache::CacheConfig;
use proptest::prelude::*;

use super::{
    super::{bytes::tests::fresh_for_a_minute, object::Draft, shards::Shards},
    *,
};

/// A fill of its own, and what is counted for it.
fn fill() -> (Source, Arc<Shards>) {
    let shards = Arc::new(Shards::new(&CacheConfig::default()));
    let head = Draft::new(200, b"OK").finish(b"", Bytes::new());
    let fill =
        Fill::new(b"key".as_slice().into(), head, fresh_for_a_minute(), None, Room::new(&shards));
    (Source(fill), shards)
}

/// Reads as far as it goes; how it ended.
fn read_on(follower: &Follower, got: &mut Vec<u8>) -> Read {
    let mut scratch = vec![0; 20_000];
    loop {
        match follower.fill().read(got.len() as u64, &mut scratch) {
            Read::Block(block) => got.extend_from_slice(&block),
            Read::Copied(count) => got.extend_from_slice(&scratch[..count]),
            end => return end,
        }
    }
}

proptest! {
    /// Whoever follows gets what was pushed, in whatever pieces it came and whenever he reads, and so does the store.
    #[test]
    fn all_get_what_has_come(
        pieces in prop::collection::vec((0_usize..150_000, 0_usize..4), 1..8),
        late in 0_usize..8,
    ) {
        let (source, shards) = fill();
        let mut all = Vec::new();
        let mut readers = vec![(source.0.follow().expect("nothing has come yet"), Vec::new())];
        for (index, (size, reads)) in pieces.iter().enumerate() {
            if index == late {
                readers.push((source.join(), Vec::new()));
            }
            let piece: Vec<u8> = (0..*size).map(|at| ((all.len() + at) % 251) as u8).collect();
            prop_assert!(source.push(&piece, u64::MAX));
            all.extend(piece);
            for (reader, got) in readers.iter_mut().take(*reads) {
                prop_assert_eq!(read_on(reader, got), Read::Nothing);
                prop_assert!(*got == all);
            }
        }
        prop_assert!(source.complete().is_some_and(|whole| whole == all));
        prop_assert!(source.0.follow().is_none());
        for (reader, mut got) in readers {
            prop_assert_eq!(read_on(&reader, &mut got), Read::End);
            prop_assert!(got == all);
        }
        prop_assert!(shards.take_room(CacheConfig::default().size.0 / 2), "room is missing");
    }

    /// What is too large to be kept takes no more memory than the window, and its readers get it in order or learn that they lost it.
    #[test]
    fn a_window_is_bounded(
        pieces in prop::collection::vec((0_usize..150_000, any::<bool>()), 1..60),
        most in 0_u64..200_000,
    ) {
        let (source, shards) = fill();
        let window = most.max(WINDOW);
        let (keen, idle) = (source.join(), source.join());
        let (mut all, mut got) = (Vec::new(), Vec::new());
        for (size, reads) in pieces {
            let piece: Vec<u8> = (0..size).map(|at| ((all.len() + at) % 251) as u8).collect();
            let kept = source.push(&piece, most);
            all.extend(piece);
            prop_assert_eq!(kept, all.len() as u64 <= most);
            let body = source.0.lock();
            let held = body.blocks.len() * BLOCK + body.open.len();
            prop_assert_eq!(held as u64, body.held());
            prop_assert!(held as u64 <= window + BLOCK as u64);
            prop_assert!(held as u64 <= body.room.taken() + BLOCK as u64);
            drop(body);
            if reads {
                let end = read_on(&keen, &mut got);
                prop_assert!(all.starts_with(&got));
                if end == Read::Lost {
                    prop_assert!((all.len() - got.len()) as u64 > window - BLOCK as u64);
                } else {
                    prop_assert!(end == Read::Nothing && got == all);
                }
            }
        }
        let kept = all.len() as u64 <= most;
        prop_assert_eq!(source.complete().is_some(), kept);
        let mut late = Vec::new();
        let end = read_on(&idle, &mut late);
        prop_assert!(all.starts_with(&late));
        prop_assert!(end == Read::Lost || (end == Read::End && late == all));
        drop((keen, idle, source));
        prop_assert!(shards.take_room(CacheConfig::default().size.0 / 2), "room is missing");
    }
}

#[test]
fn what_is_dropped_before_its_end_has_broken_off() {
    let (source, _) = fill();
    let reader = source.0.follow().expect("nothing has come yet");
    source.push(b"hello", 10);
    drop(source);
    let mut got = Vec::new();
    assert_eq!(read_on(&reader, &mut got), Read::Broken);
    assert_eq!(got, b"hello");
    assert!(reader.fill().follow().is_none());
}

#[test]
fn what_nobody_follows_and_nobody_keeps_takes_no_room() {
    let (source, shards) = fill();
    assert!(source.push(b"hello", 10));
    assert!(!source.push(b"hello world", 10));
    assert!(shards.take_room(CacheConfig::default().size.0 / 2));
    assert_eq!(source.complete(), None);
}
