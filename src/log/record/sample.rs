//! Values for the round trip test: any record, with any fields.

use super::{Bytes, DrcIndex, DrcKind, EntitySense, Hex, ReturnCode, Status, Text};

/// An endless supply of numbers.
#[derive(Debug)]
pub(crate) struct Seeds(u64);

impl Seeds {
    pub(super) fn new(seeds: &[u64]) -> Self {
        Self(seeds.iter().fold(1, |sum, seed| sum.rotate_left(7) ^ seed))
    }

    fn next(&mut self) -> u64 {
        // splitmix64: any two seeds give unlike sequences.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn draw<S: Sample>(&mut self) -> S {
        S::sample(self)
    }
}

/// A type that can be drawn.
pub(crate) trait Sample {
    fn sample(seeds: &mut Seeds) -> Self;
}

macro_rules! numbers {
    ($($type:ty => $make:expr),* $(,)?) => { $(
        impl Sample for $type {
            #[allow(clippy::cast_possible_truncation, reason = "any bits will do")]
            fn sample(seeds: &mut Seeds) -> Self {
                let number = seeds.next();
                $make(number >> (number % 64))
            }
        }
    )* };
}
numbers! {
    u8 => |n| n as u8,
    u16 => |n| n as u16,
    u32 => |n| n as u32,
    u64 => |n| n,
    bool => |n| n % 2 == 0,
    Hex => Hex,
    DrcIndex => |n| DrcIndex(n as u32),
    DrcKind => |n| DrcKind(n as u8),
    Status => |n| Status(n as i32 as i16 as i32),
    ReturnCode => |n| ReturnCode(n as i64),
    EntitySense => |n| EntitySense(n as u32),
}

impl Sample for Text<'_> {
    fn sample(seeds: &mut Seeds) -> Self {
        const PIECES: &[&str] =
            &["", "-", "%", " ", "a", "=", "ü", "\n", "%2d", "]", " *", "P[", "/cpus", "\0"];
        let pieces = (0..seeds.next() % 5).map(|_| PIECES[(seeds.next() % PIECES.len() as u64) as usize]);
        Text::from(pieces.collect::<String>())
    }
}

impl Sample for Bytes<'_> {
    fn sample(seeds: &mut Seeds) -> Self {
        Bytes::from((0..seeds.next() % 9).map(|_| seeds.next() as u8).collect::<Vec<u8>>())
    }
}

impl<S: Sample> Sample for Option<S> {
    fn sample(seeds: &mut Seeds) -> Self {
        (!seeds.next().is_multiple_of(3)).then(|| S::sample(seeds))
    }
}

macro_rules! words {
    ($($type:ty),* $(,)?) => { $(
        impl Sample for $type {
            fn sample(seeds: &mut Seeds) -> Self {
                Self::ALL[(seeds.next() % Self::ALL.len() as u64) as usize]
            }
        }
    )* };
}
words!(super::Request, super::Learned, super::Outcome, super::Change, super::Severity, super::Verdict);
