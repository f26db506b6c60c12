//! How one value stands in a log line: short, without spaces, and readable back to the same value.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// A value that can be written into a log line and read back.
pub trait Field<'a>: Sized {
    /// Writes the value; never a space, never a line end.
    fn put(&self, out: &mut dyn Write) -> fmt::Result;
    /// Reads what [`Field::put`] wrote; `None` if it is nothing that `put` writes.
    fn get(text: &'a str) -> Option<Self>;
}

macro_rules! decimal_fields {
    ($($int:ty),*) => { $(
        impl<'a> Field<'a> for $int {
            fn put(&self, out: &mut dyn Write) -> fmt::Result {
                write!(out, "{self}")
            }
            fn get(text: &'a str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )* };
}
decimal_fields!(u8, u16, u32, u64, i32, i64);

/// A number that people know in hexadecimal: an address, an index, a register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex(pub u64);

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl<'a> Field<'a> for Hex {
    fn put(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{:#x}", self.0)
    }
    fn get(text: &'a str) -> Option<Self> {
        u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(Hex)
    }
}

/// Any text. Spaces, control characters and `%` are written as `%` and two hexadecimal digits for each byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an absent value looks like; a text that is just this is escaped.
const ABSENT: &str = "-";

impl<'a> Field<'a> for Text<'a> {
    fn put(&self, out: &mut dyn Write) -> fmt::Result {
        if self.0 == ABSENT {
            return out.write_str("%2d");
        }
        for byte in self.0.bytes() {
            match byte {
                b'%' | ..=b' ' | 0x7f.. => write!(out, "%{byte:02x}")?,
                _ => out.write_char(char::from(byte))?,
            }
        }
        Ok(())
    }

    fn get(text: &'a str) -> Option<Self> {
        if !text.contains('%') {
            return Some(Text(Cow::Borrowed(text)));
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte == b'%' {
                let digits = core::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).ok().map(Text::from)
    }
}

/// Raw bytes, as hexadecimal digits without separators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Bytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Cow::Owned(bytes))
    }
}

impl<'a> Field<'a> for Bytes<'a> {
    fn put(&self, out: &mut dyn Write) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
    fn get(text: &'a str) -> Option<Self> {
        parse_hex(text).map(Bytes::from)
    }
}

/// Reads an even number of hexadecimal digits.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = core::str::from_utf8(pair).ok()?;
            if digits.starts_with('+') {
                return None;
            }
            u8::from_str_radix(digits, 16).ok()
        })
        .collect()
}

impl<'a, F: Field<'a>> Field<'a> for Option<F> {
    fn put(&self, out: &mut dyn Write) -> fmt::Result {
        match self {
            Some(value) => value.put(out),
            None => out.write_str(ABSENT),
        }
    }
    fn get(text: &'a str) -> Option<Self> {
        if text == ABSENT { Some(None) } else { F::get(text).map(Some) }
    }
}

/// Yes or no.
impl<'a> Field<'a> for bool {
    fn put(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str(if *self { "yes" } else { "no" })
    }
    fn get(text: &'a str) -> Option<Self> {
        match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }
}

/// Makes an enum of words that the guest itself chooses, so that it is closed.
#[macro_export]
macro_rules! word_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $( $(#[$item_meta:meta])* $item:ident = $text:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $( $(#[$item_meta])* $item, )* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$( Self::$item, )*];

            /// The word as it stands in the log.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$item => $text, )* }
            }

            /// The one with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.pad(self.word())
            }
        }

        impl<'a> $crate::log::Field<'a> for $name {
            fn put(&self, out: &mut dyn ::core::fmt::Write) -> ::core::fmt::Result {
                out.write_str(self.word())
            }
            fn get(text: &'a str) -> Option<Self> {
                Self::from_word(text)
            }
        }
    };
}

/// An open value stands in the log as `name(number)`, or as the number alone when it has no name.
#[macro_export]
macro_rules! open_field {
    ($($name:ty),* $(,)?) => { $(
        impl<'a> $crate::log::Field<'a> for $name {
            fn put(&self, out: &mut dyn ::core::fmt::Write) -> ::core::fmt::Result {
                match self.name() {
                    Some(name) => write!(out, "{name}({})", self.0),
                    None => write!(out, "{}", self.0),
                }
            }
            fn get(text: &'a str) -> Option<Self> {
                let Some((name, rest)) = text.split_once('(') else {
                    let value = Self(text.parse().ok()?);
                    return value.name().is_none().then_some(value);
                };
                let value = Self(rest.strip_suffix(')')?.parse().ok()?);
                (value.name() == Some(name)).then_some(value)
            }
        }
    )* };
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Field, Hex, Text};
    use proptest::prelude::{any, proptest};

    fn round<'a, F: Field<'a>>(value: &F, line: &'a mut String) -> Option<F> {
        value.put(line).expect("a string takes everything");
        assert!(line.bytes().all(|byte| (b'!'..=b'~').contains(&byte)), "{line:?}");
        F::get(line)
    }

    proptest! {
        #[test]
        fn text_survives(text in any::<String>()) {
            let value = Some(Text::from(text));
            assert_eq!(round(&value, &mut String::new()), Some(value));
        }

        #[test]
        fn bytes_survive(bytes in any::<Vec<u8>>()) {
            let value = Bytes::from(bytes);
            assert_eq!(round(&value, &mut String::new()), Some(value));
        }

        #[test]
        fn numbers_survive(hex in any::<u64>(), signed in any::<Option<i64>>()) {
            assert_eq!(round(&Hex(hex), &mut String::new()), Some(Hex(hex)));
            assert_eq!(round(&signed, &mut String::new()), Some(signed));
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _ = (Text::get(&text), Bytes::get(&text), Hex::get(&text), u32::get(&text), bool::get(&text));
        }
    }

    #[test]
    fn a_dash_is_not_nothing() {
        assert_eq!(round(&Some(Text::from("-")), &mut String::new()), Some(Some(Text::from("-"))));
        assert_eq!(round(&None::<Text<'_>>, &mut String::new()), Some(None));
    }
}
