//! CAS: what the guest asks of the platform, and what it gets.
//!
//! The proper way is a method of the root node, called through the client interface; the firmware makes the
//! hypervisor call and updates the tree. The guest can also make that call itself, and then has the tree from it. Both
//! take their argument in any form, also in one that is wrong.
//!
//! Ref: LoPAR B.6.2.3

use super::arguments::{Arguments, Way};
use super::guest::{Chapter, Fatal, Guest};
use super::station::Station;
use super::trees::When;
use crate::log::{Bytes, Record, Severity};
use crate::machine::{Arg, LowMemory, Machine, Negotiator};
use crate::openfirmware::client::{self, CasAnswer, ClientError};
use crate::openfirmware::flatten::FlatTree;
use crate::papr::hcall::CAS_HEADER;
use crate::papr::option_vectors::{BitVector, Block, Defaults, OptionVector, OptionVectors, Place, compare};
use crate::papr::status::ReturnCode;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Bytes that are claimed at the end of memory for a block that lies there: the largest base page.
const LAST_PAGE: u32 = 64 << 10;
/// Where the platform says what it grants.
const GRANTED: &CStr = c"ibm,architecture-vec-5";

/// Why nothing was granted.
enum Refusal {
    /// The platform was not asked.
    Unasked(String),
    /// It has said no, which is in the log.
    Refused(CasAnswer),
}

impl<M: Machine> Guest<M> {
    /// Performs `ibm,client-architecture-support` and says what was asked and what was granted.
    pub fn negotiate(&mut self) -> Chapter {
        let told = self.arguments.clone();
        match self.ask(&told) {
            Ok(()) => Ok(()),
            Err(Refusal::Unasked(why)) => Err(self.fatal("cas", why)),
            Err(Refusal::Refused(CasAnswer { catch, result })) => {
                Err(self.fatal("cas", format!("refused: {catch}, {result}")))
            }
        }
    }

    /// Negotiates once more, with words of the host's; a refusal is what the host wanted to see, and no problem.
    pub(super) fn negotiate_as_told(&mut self, words: &str) -> Chapter {
        let told = match self.arguments.with_cas(words) {
            Ok(told) => told,
            Err(bad) => {
                self.problem(Severity::Minor, "cas", format!("{}: {}", bad.word, bad.problem));
                return Ok(());
            }
        };
        if self.rtas_up && told.cas == Way::Method {
            self.problem(Severity::Minor, "order", "cas: the firmware may be gone; cas=hcall needs none");
            return Ok(());
        }
        match self.ask(&told) {
            Ok(()) => self.read_the_tree(When::AfterCas),
            Err(Refusal::Refused(_)) => Ok(()),
            Err(Refusal::Unasked(why)) => {
                self.problem(Severity::Minor, "cas", why);
                Ok(())
            }
        }
    }

    fn ask(&mut self, told: &Arguments) -> Result<(), Refusal> {
        let pvr = self.machine.bare().boot().pvr;
        let defaults = Defaults { pvr, platform_support: &self.facts.platform_support };
        let vectors = defaults.vectors().with(&told.overrides);
        let block = told.form.lay(&vectors);
        self.say(&Record::CasAsk {
            pvr: vectors.pvr_text().into(),
            vectors: Bytes::from(vectors.encode_vectors()),
            by: told.cas.to_string().into(),
            form: told.form.word().into(),
        });
        if told.cas != Way::Method {
            // VOF has no handles after that call, and QEMU aborts when something is opened.
            self.ready_rtas().map_err(|Fatal| Refusal::Unasked("RTAS has to come first".to_string()))?;
        }
        let place = self.place(&block).map_err(Refusal::Unasked)?;
        self.reach(Station::BeforeCas);
        let answer = match told.cas {
            Way::Method => self.ask_the_firmware(place.arg()),
            Way::Hcall(room) => self.ask_the_hypervisor(place.arg(), room),
        };
        // Its name stands in the log from here on, whatever the answer.
        self.reach(Station::AfterCas);
        let (answer, granted) = answer.map_err(Refusal::Unasked)?;
        self.say_answer(&vectors, answer, granted.as_deref());
        if answer.granted() { Ok(()) } else { Err(Refusal::Refused(answer)) }
    }

    /// Puts the block where it is to lie.
    fn place(&mut self, block: &Block) -> Result<Placed, String> {
        match block.place {
            Place::Anywhere => Ok(Placed::Ours { bytes: block.bytes.clone(), skip: 0 }),
            Place::Odd => {
                let mut bytes: Vec<u8> = Vec::with_capacity(block.bytes.len() + 1);
                let skip = 1 - bytes.as_ptr().addr() % 2;
                bytes.resize(skip, 0);
                bytes.extend_from_slice(&block.bytes);
                Ok(Placed::Ours { bytes, skip })
            }
            Place::End(inside) => {
                let inside = block.bytes.get(..inside).unwrap_or(&block.bytes);
                self.put_at_the_end(inside).map(Placed::There)
            }
        }
    }

    /// Puts bytes at the end of the memory that was there at boot; their address.
    fn put_at_the_end(&mut self, bytes: &[u8]) -> Result<u32, String> {
        let end = u32::try_from(self.facts.memory_end).map_err(|_| "memory ends beyond 4 GiB".to_string())?;
        let at = u32::try_from(bytes.len())
            .ok()
            .filter(|len| *len <= LAST_PAGE)
            .and_then(|len| end.checked_sub(len));
        let at = at.ok_or_else(|| format!("{} bytes are too many for the end of memory", bytes.len()))?;
        if !bytes.is_empty() && !self.has_last_page {
            self.open_firmware("claim");
            let claimed = client::claim_at(&mut self.machine, end.saturating_sub(LAST_PAGE), LAST_PAGE);
            self.close_firmware("claim");
            self.has_last_page = claimed == Ok(true);
        }
        let there = bytes.is_empty() || self.has_last_page && self.machine.put(at, bytes);
        if there { Ok(at) } else { Err(format!("the end of memory, {end:#x}, is in use")) }
    }

    fn ask_the_firmware(&mut self, vectors: Arg<'_>) -> Asked {
        self.open_firmware("ibm,client-architecture-support");
        let answer = self.call_method(vectors);
        let granted = self.granted();
        self.close_firmware("ibm,client-architecture-support");
        Ok((answer.map_err(|problem| problem.to_string())?, granted))
    }

    fn call_method(&mut self, argument: Arg<'_>) -> Result<CasAnswer, ClientError> {
        const ROOT: &CStr = c"/";
        let root = client::open(&mut self.machine, ROOT)?;
        let root = root.ok_or(ClientError::Answer { service: c"open", answer: 0 })?;
        client::client_architecture_support(&mut self.machine, root, argument)
    }

    /// `ibm,architecture-vec-5` as it is now.
    fn granted(&mut self) -> Option<Vec<u8>> {
        // A length byte, and as many bytes as that can say.
        const MOST: usize = 257;
        let chosen = client::finddevice(&mut self.machine, c"/chosen").ok()??;
        let mut value = alloc::vec![0; MOST];
        let len = client::getprop(&mut self.machine, chosen, GRANTED, &mut value).ok()??;
        value.truncate(len);
        Some(value)
    }

    /// Makes the hypervisor call, and keeps the tree that it hands out.
    fn ask_the_hypervisor(&mut self, vectors: Arg<'_>, room: u32) -> Asked {
        let len = usize::try_from(room).unwrap_or(usize::MAX);
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(len).map_err(|_| format!("no memory for {room} bytes of tree"))?;
        buffer.resize(len, 0);
        let catch = self.machine.h_cas(vectors, &mut buffer);
        let answer = CasAnswer { catch, result: ReturnCode::SUCCESS };
        if !answer.granted() {
            return Ok((answer, None));
        }
        let flat = FlatTree::given(buffer.get(CAS_HEADER..).unwrap_or_default());
        let flat = flat.map_err(|problem| format!("the tree that came back: {problem}"))?;
        let granted = flat.tree().ok().and_then(|tree| {
            let nodes = tree.nodes();
            let chosen = nodes.iter().find(|node| node.path() == "/chosen")?;
            Some(chosen.value(GRANTED.to_str().ok()?)?.to_vec())
        });
        self.given = Some(flat);
        Ok((answer, granted))
    }

    fn say_answer(&mut self, vectors: &OptionVectors, answer: CasAnswer, granted: Option<&[u8]>) {
        let CasAnswer { catch, result } = answer;
        self.say(&Record::CasAnswer { catch, result, granted: granted.map(Bytes::from) });
        if !answer.granted() {
            return;
        }
        let granted = match granted.map(BitVector::from_property) {
            Some(Ok(vector)) => Some(vector),
            Some(Err(problem)) => {
                self.problem(Severity::Major, "ibm,architecture-vec-5", format!("{problem}"));
                None
            }
            None => None,
        };
        for option in compare(vectors.vector(OptionVector::Ov5), granted.as_ref()) {
            if option.asked != 0 || option.granted != 0 {
                let name = option.option.name.into();
                self.say(&Record::CasOption { name, asked: option.asked, granted: option.granted });
            }
        }
    }

    /// Lends low memory to the firmware for a series of calls, and says so.
    pub(super) fn open_firmware(&mut self, why: &'static str) {
        let calls = self.machine.calls();
        self.say(&Record::Firmware { window: "open".into(), why: why.into(), calls });
        self.machine.lend();
    }

    /// Takes low memory back, and says so.
    pub(super) fn close_firmware(&mut self, why: &'static str) {
        self.machine.take();
        let calls = self.machine.calls();
        self.say(&Record::Firmware { window: "close".into(), why: why.into(), calls });
    }
}

/// What CAS answered and what it grants, or why it could not be called.
type Asked = Result<(CasAnswer, Option<Vec<u8>>), String>;

/// A block in its place.
enum Placed {
    /// In memory of ours, behind some bytes that do not count.
    Ours {
        /// All of it.
        bytes: Vec<u8>,
        /// How many bytes do not count.
        skip: usize,
    },
    /// At this address.
    There(u32),
}

impl Placed {
    fn arg(&self) -> Arg<'_> {
        match self {
            Self::Ours { bytes, skip } => Arg::In(bytes.get(*skip..).unwrap_or_default()),
            Self::There(at) => Arg::Cell(*at),
        }
    }
}
