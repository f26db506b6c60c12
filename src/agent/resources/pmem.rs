//! Persistent memory in use: bound, found again, written, made last.
//!
//! What a guest writes is there for the next one, and so each leaves a signature: how many have been there, where the
//! memory lay for it and how densely it wrote its pattern. The next guest finds all of it again, or says what is wrong,
//! before it writes anything. The first 64 KiB hold nothing but the signature; the pattern fills the rest. Whatever was
//! on the device before is lost: this guest is for trials. A device that says that it cannot keep anything is only read,
//! as systems do.

use super::memory::try_block;
use crate::agent::journal;
use crate::agent::numbered::Numbered;
use crate::hotplug::fragment::Fragment;
use crate::log::{Hex, Record};
use crate::machine::{Machine, MemoryRange, MemoryReport};
use crate::papr::drc::DrcIndex;
use crate::papr::scm::Scm;
use crate::papr::status::ReturnCode;
use alloc::format;
use alloc::string::{String, ToString};

/// What a device says of itself.
///
/// Ref: QEMU hw/ppc/spapr_nvdimm.c (spapr_dt_nvdimm)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `ibm,unit-guid`.
    pub guid: String,
    /// Bytes of a block, `ibm,block-size`.
    pub block_size: u64,
    /// `ibm,number-of-blocks`.
    pub blocks: u64,
    /// Bytes of metadata, `ibm,metadata-size`.
    pub metadata: u32,
    /// Whether what was written must be flushed by a call, `ibm,hcall-flush-required`.
    pub hcall_flush: bool,
}

impl Unit {
    /// Reads the properties, which `value` finds by name.
    ///
    /// # Errors
    /// In words, when one is missing, has another length, or makes no sense.
    pub fn read<'v>(value: impl Fn(&str) -> Option<&'v [u8]>) -> Result<Self, String> {
        let number = |name: &str| {
            let value = value(name).ok_or_else(|| format!("there is no {name}"))?;
            match *value {
                [a, b, c, d] => Ok(u64::from(u32::from_be_bytes([a, b, c, d]))),
                [a, b, c, d, e, f, g, h] => Ok(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
                _ => Err(format!("{name} is no number")),
            }
        };
        let guid = value("ibm,unit-guid").unwrap_or_default();
        let unit = Self {
            guid: String::from_utf8_lossy(guid.split(|&byte| byte == 0).next().unwrap_or_default())
                .into_owned(),
            block_size: number("ibm,block-size")?,
            blocks: number("ibm,number-of-blocks")?,
            metadata: u32::try_from(number("ibm,metadata-size")?)
                .map_err(|_| "too much metadata".to_string())?,
            hcall_flush: value("ibm,hcall-flush-required").is_some(),
        };
        match unit.size() {
            Some(size) if size > SIGNATURE_ROOM && unit.block_size.is_multiple_of(SIGNATURE_ROOM) => Ok(unit),
            _ => Err(format!("{} blocks of {:#x} bytes make no sense", unit.blocks, unit.block_size)),
        }
    }

    /// Reads what configure-connector handed out.
    ///
    /// # Errors
    /// As [`Unit::read`].
    pub fn of_fragment(fragment: &Fragment) -> Result<Self, String> {
        Self::read(|name| fragment.property(name).map(|property| property.value.as_slice()))
    }

    /// All of its bytes.
    fn size(&self) -> Option<u64> {
        self.block_size.checked_mul(self.blocks)
    }

    /// Where its memory lies when it is bound at `base`.
    fn range(&self, base: u64) -> Option<MemoryRange> {
        let size = self.size()?;
        base.checked_add(size)?;
        base.is_multiple_of(SIGNATURE_ROOM).then_some(MemoryRange { base, size })
    }
}

/// Bytes at the start of a device that hold nothing but the signature.
const SIGNATURE_ROOM: u64 = 64 << 10;
/// "Paprika!"
const MAGIC: u64 = u64::from_be_bytes(*b"Paprika!");

/// What a guest leaves for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// How many guests have been there.
    pub lives: u64,
    /// Where the memory lay for the last of them.
    pub base: u64,
    /// Bytes from one of its patterns to the next; 0 where it wrote none.
    pub stride: u64,
}

/// What stands where a signature would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: zeroes.
    Blank,
    /// Something that no guest of ours left.
    Foreign,
    /// What one of ours left.
    Ours(Signature),
}

impl Signature {
    /// What is written: the magic number, the fields, and their checksum.
    pub fn words(self) -> [u64; 5] {
        let Self { lives, base, stride } = self;
        [MAGIC, lives, base, stride, self.sum()]
    }

    fn sum(self) -> u64 {
        let fields = [self.lives, self.base, self.stride];
        fields
            .iter()
            .fold(MAGIC, |sum, field| (sum ^ field).rotate_left(13).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Reads what was found.
    pub fn find(words: [u64; 5]) -> Found {
        let [magic, lives, base, stride, sum] = words;
        let signature = Self { lives, base, stride };
        match magic {
            MAGIC if sum == signature.sum() => Found::Ours(signature),
            _ if words == [0; 5] => Found::Blank,
            _ => Found::Foreign,
        }
    }
}

impl Found {
    const fn word(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Foreign => "foreign",
            Self::Ours(_) => "ours",
        }
    }

    /// How many guests have been there.
    const fn lives(self) -> u64 {
        match self {
            Self::Ours(signature) => signature.lives,
            _ => 0,
        }
    }

    /// The stride of the pattern that must still be there. The pattern tells addresses, so what was written elsewhere
    /// cannot be checked.
    fn stride_at(self, base: u64) -> Option<u64> {
        match self {
            Self::Ours(signature) if signature.base == base && signature.stride != 0 => {
                Some(signature.stride)
            }
            _ => None,
        }
    }
}

/// Whether a device can keep its content, by its health bits and those of them that mean something. What is not known to
/// be wrong is fine; the other bits tell of the past, or of how much longer it will go on.
///
/// Ref: Linux arch/powerpc/platforms/pseries/papr_scm.c (PAPR_PMEM_UNARMED)
const fn is_armed(bits: u64, mask: u64) -> bool {
    const UNARMED: u64 = 1 << 63;
    bits & mask & UNARMED == 0
}

/// What lies behind the signature, from a multiple of the stride on. Nothing where that is beyond the range.
fn behind(range: MemoryRange, stride: u64) -> MemoryRange {
    let room = SIGNATURE_ROOM.max(stride);
    MemoryRange { base: range.base.saturating_add(room), size: range.size.saturating_sub(room) }
}

/// How a device is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Bytes from one pattern to the next; without it memory is not touched.
    pub stride: Option<u64>,
    /// Whether to write even to a device that says that it cannot keep anything.
    pub bold: bool,
}

/// A device, and what is needed to use it and to tell of it.
#[derive(Debug)]
pub struct Device<'g, M> {
    /// The machine.
    pub machine: &'g mut Numbered<M>,
    /// The connector.
    pub drc: DrcIndex,
    /// What it says of itself.
    pub unit: &'g Unit,
}

impl<M: Machine> Device<'_, M> {
    fn say(&mut self, record: &Record<'_>) {
        journal::say(self.machine, record);
    }

    fn scm(&mut self) -> Scm<'_, Numbered<M>> {
        Scm { machine: self.machine, drc: self.drc }
    }

    /// Tells what came of a call.
    ///
    /// # Errors
    /// In words, when the call failed.
    fn told(
        &mut self,
        call: &'static str,
        about: u64,
        result: Result<(u64, u64), ReturnCode>,
    ) -> Result<(u64, u64), String> {
        let (value, more) = result.unwrap_or_default();
        let rc = result.err().unwrap_or(ReturnCode::SUCCESS);
        let (about, value, more) = (Hex(about), Hex(value), Hex(more));
        self.say(&Record::Scm { drc: self.drc, call: call.into(), about, rc, value, more });
        result.map_err(|code| format!("{call}: {code}"))
    }

    /// Uses the device; it stays bound.
    ///
    /// # Errors
    /// In words, when it does not work; it is unbound then, as far as possible.
    pub fn start(&mut self, trial: Trial) -> Result<MemoryRange, String> {
        let Unit { guid, block_size, blocks, metadata, hcall_flush } = self.unit;
        self.say(&Record::Pmem {
            drc: self.drc,
            unit: guid.as_str().into(),
            block: Hex(*block_size),
            blocks: *blocks,
            metadata: *metadata,
            flush: *hcall_flush,
        });
        let used = self.bind_twice().and_then(|range| self.work(range, trial).map(|()| range));
        used.inspect_err(|_| {
            // Why it did not work is the news; whether this does is in the log.
            let _ = self.unbind_all();
        })
    }

    /// Binds all blocks, after whatever an earlier guest left bound is unbound; and once more, as what is given back
    /// can be had again.
    fn bind_twice(&mut self) -> Result<MemoryRange, String> {
        self.unbind_all()?;
        let range = self.bind()?;
        self.stop(range)?;
        self.bind()
    }

    fn bind(&mut self) -> Result<MemoryRange, String> {
        let blocks = self.unit.blocks;
        let result = self.scm().bind(blocks);
        let (address, bound) = self.told("bind", blocks, result)?;
        if bound != blocks {
            return Err(format!("{bound} of {blocks} blocks were bound"));
        }
        self.unit.range(address).ok_or_else(|| format!("{address:#x} is no place for {blocks} blocks"))
    }

    fn unbind_all(&mut self) -> Result<(), String> {
        let result = self.scm().unbind_all();
        self.told("unbind-all", 0, result.map(|blocks| (blocks, 0))).map(|_| ())
    }

    /// Unbinds the device.
    ///
    /// # Errors
    /// In words, when that does not work.
    pub fn stop(&mut self, range: MemoryRange) -> Result<(), String> {
        let blocks = self.unit.blocks;
        let result = self.scm().unbind(range.base, blocks);
        let (unbound, _) = self.told("unbind", blocks, result.map(|blocks| (blocks, 0)))?;
        if unbound == blocks { Ok(()) } else { Err(format!("{unbound} of {blocks} blocks were unbound")) }
    }

    fn work(&mut self, range: MemoryRange, trial: Trial) -> Result<(), String> {
        let result = self.scm().health();
        let (bits, mask) = self.told("health", 0, result)?;
        let may_write = trial.bold || is_armed(bits, mask);
        if may_write {
            self.try_metadata()?;
        }
        if let Some(stride) = trial.stride {
            let (found, kept) = self.look(range)?;
            // What cannot keep is only looked at: it may well be a device that cannot be written to, either.
            if !may_write {
                return Ok(());
            }
            self.try_memory(range, stride, found)?;
            if kept.bad != 0 {
                return Err(format!("{} of {} pages were not kept", kept.bad, kept.pages));
            }
        }
        if may_write && self.unit.hcall_flush {
            let result = self.scm().flush();
            self.told("flush", self.unit.blocks, result.map(|()| (0, 0)))?;
        }
        Ok(())
    }

    /// The last eight bytes of the metadata are turned into their complement, read back, and put back.
    fn try_metadata(&mut self) -> Result<(), String> {
        let Some(offset) = u64::from(self.unit.metadata).checked_sub(8) else { return Ok(()) };
        let before = self.read_metadata(offset)?;
        self.write_metadata(offset, !before)?;
        let written = self.read_metadata(offset);
        self.write_metadata(offset, before)?;
        let restored = self.read_metadata(offset)?;
        match (written?, restored) {
            (written, restored) if (written, restored) == (!before, before) => Ok(()),
            (written, restored) => {
                Err(format!("metadata {before:#x} became {written:#x} and then {restored:#x}"))
            }
        }
    }

    fn read_metadata(&mut self, offset: u64) -> Result<u64, String> {
        let result = self.scm().read_metadata(offset);
        self.told("read-metadata", offset, result.map(|data| (data, 0))).map(|(data, _)| data)
    }

    fn write_metadata(&mut self, offset: u64, data: u64) -> Result<(), String> {
        let result = self.scm().write_metadata(offset, data);
        self.told("write-metadata", offset, result.map(|()| (data, 0))).map(|_| ())
    }

    /// Looks what is there, without writing.
    fn look(&mut self, range: MemoryRange) -> Result<(Found, MemoryReport), String> {
        let words = self.machine.bare().load(range.base).ok_or_else(|| foreign(range))?;
        let found = Signature::find(words);
        let kept = match found.stride_at(range.base) {
            Some(stride) => self.machine.bare().check_pages(behind(range, stride), stride),
            None => Some(MemoryReport::default()),
        };
        let kept = kept.ok_or_else(|| foreign(range))?;
        self.say(&Record::Content {
            drc: self.drc,
            found: found.word().into(),
            lives: found.lives(),
            pages: kept.pages,
            bad: kept.bad,
        });
        Ok((found, kept))
    }

    /// Writes pattern and signature.
    fn try_memory(&mut self, range: MemoryRange, stride: u64, found: Found) -> Result<(), String> {
        let mut signature = Signature { lives: found.lives().saturating_add(1), base: range.base, stride: 0 };
        // Until all of the pattern is there, nobody is to look for it.
        self.sign(range, signature)?;
        let (record, held) = try_block(self.machine.bare(), self.drc, behind(range, stride), stride);
        self.say(&record);
        held?;
        signature.stride = stride;
        self.sign(range, signature)
    }

    fn sign(&mut self, range: MemoryRange, signature: Signature) -> Result<(), String> {
        self.machine.bare().store(range.base, signature.words()).ok_or_else(|| foreign(range))
    }
}

fn foreign(range: MemoryRange) -> String {
    format!("{:#x} bytes at {:#x} are not for a trial", range.size, range.base)
}

#[cfg(test)]
mod tests;
