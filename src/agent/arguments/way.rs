//! The way in which the guest calls CAS.

use crate::log::Field;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// Who is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The firmware, by the method of the root node, which keeps its tree up to date.
    #[default]
    Method,
    /// The hypervisor itself, by `KVMPPC_H_CAS`, with this much room for the tree that it hands out, in bytes.
    Hcall(u32),
}

impl Way {
    /// Room for any tree, as SLOF has it.
    pub const ROOM: u32 = 2 << 20;

    /// Reads `method`, `hcall` or `hcall:<bytes>`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("method", "") if !text.contains(':') => Ok(Self::Method),
            ("hcall", "") if !text.contains(':') => Ok(Self::Hcall(Self::ROOM)),
            ("hcall", room) => {
                // A number of the log's form: no sign, no leading zeroes.
                u32::get(room).map(Self::Hcall).ok_or_else(|| format!("\"{room}\" is no number of bytes"))
            }
            _ => Err(format!("\"{text}\" is none of: method, hcall, hcall:<bytes>")),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.pad("method"),
            Self::Hcall(Self::ROOM) => f.pad("hcall"),
            Self::Hcall(room) => write!(f, "hcall:{room}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Way;

    #[test]
    fn a_way_is_read_back_and_what_is_none_is_named() {
        for (text, way) in [
            ("method", Way::Method),
            ("hcall", Way::Hcall(Way::ROOM)),
            ("hcall:3", Way::Hcall(3)),
            ("hcall:0", Way::Hcall(0)),
        ] {
            assert_eq!(Way::parse(text), Ok(way));
            assert_eq!(way.to_string(), text);
        }
        for text in ["", "method:", "method:1", "hcall:", "hcall:x", "hcall:-1", "hcall:4294967296", "rtas"] {
            let problem = Way::parse(text).expect_err(text);
            assert!(problem.starts_with('"') && problem.contains("bytes"), "{text}: {problem}");
        }
    }
}
