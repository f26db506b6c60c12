//! Big-endian cells: the only place where bytes from the other side become numbers.
//!
//! Everything that the firmware or the hypervisor hands us is big-endian and of a length that it chose. Every parser
//! therefore reads through [`Reader`], which checks each length in one place and says which item was cut short. What
//! the other side sends is never a Rust enum: `open_enum!` makes a newtype that names the known values and keeps
//! the unknown ones.

use core::fmt;

/// A read that went past the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// What was being read, in the words of the format.
    pub what: &'static str,
    /// Bytes that were needed.
    pub needed: usize,
    /// Bytes that were left.
    pub left: usize,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs {} bytes, {} are left", self.what, self.needed, self.left)
    }
}

/// A cursor over bytes that the other side wrote.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Everything that is left, without moving.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `len` bytes; `what` names them should they be missing.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Short> {
        match self.rest().get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(Short { what, needed: len, left: self.left() }),
        }
    }

    /// A reader over the next `len` bytes alone.
    pub fn sub(&mut self, len: usize, what: &'static str) -> Result<Reader<'a>, Short> {
        self.take(len, what).map(Reader::new)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Short> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Short> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Short> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// One cell: four bytes, big-endian.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Short> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Two cells: eight bytes, big-endian, of any alignment.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Short> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// Bytes up to a NUL, which is read and not returned. Without a NUL the string is short.
    pub fn c_str(&mut self, what: &'static str) -> Result<&'a [u8], Short> {
        match self.rest().iter().position(|&byte| byte == 0) {
            Some(len) => {
                let text = self.take(len, what)?;
                self.at += 1;
                Ok(text)
            }
            None => Err(Short { what, needed: self.left() + 1, left: self.left() }),
        }
    }
}

/// Makes a newtype over an integer that the other side sends: known values have names, unknown ones are kept.
///
/// `Display` prints the name in lower case with dashes, or the number; `Debug` prints `Type(name)`.
#[macro_export]
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        $vis:vis $name:ident: $int:ty {
            $( $(#[$item_meta:meta])* $item:ident = $value:expr => $text:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        $vis struct $name(
            /// As the other side sent it.
            pub $int,
        );

        impl $name {
            $( $(#[$item_meta])* pub const $item: Self = Self($value); )*

            /// The known values with their names, in the order of the specification.
            pub const KNOWN: &'static [(Self, &'static str)] = &[$( (Self($value), $text), )*];

            /// The name of a known value.
            pub fn name(self) -> Option<&'static str> {
                Self::KNOWN.iter().find(|(known, _)| *known == self).map(|(_, name)| *name)
            }

            /// The value of a known name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::KNOWN.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => ::core::fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{Reader, Short};

    #[test]
    fn numbers_are_big_endian_and_of_any_alignment() {
        let bytes: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(0x0203));
        assert_eq!(reader.u32("c"), Ok(0x0405_0607));
        assert_eq!(reader.u64("d"), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn a_short_read_names_what_it_read_and_does_not_move() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32("cell"), Err(Short { what: "cell", needed: 4, left: 3 }));
        assert_eq!(reader.position(), 0);
    }

    #[test]
    fn a_string_needs_its_nul() {
        let mut reader = Reader::new(b"ab\0cd");
        assert_eq!(reader.c_str("name"), Ok(&b"ab"[..]));
        assert_eq!(reader.c_str("name"), Err(Short { what: "name", needed: 3, left: 2 }));
    }
}
