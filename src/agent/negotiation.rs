//! CAS: what the guest asks of the platform, and what it gets.
//!
//! The proper way is a method of the root node, called through the client interface; the firmware makes the
//! hypervisor call and updates the tree. Ref: LoPAR B.6.2.3

use super::guest::{Chapter, Guest};
use super::station::Station;
use crate::log::{Bytes, Record, Severity};
use crate::machine::{LowMemory, Machine};
use crate::openfirmware::client::{self, CasAnswer, ClientError};
use crate::papr::option_vectors::{BitVector, Defaults, OptionVector, OptionVectors, compare};
use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;

impl<M: Machine> Guest<M> {
    /// Performs `ibm,client-architecture-support` and says what was asked and what was granted.
    pub fn negotiate(&mut self) -> Chapter {
        let vectors = self.vectors();
        self.say(&Record::CasAsk {
            pvr: vectors.pvr_text().into(),
            vectors: Bytes::from(vectors.encode_vectors()),
        });
        self.reach(Station::BeforeCas);
        self.open_firmware("ibm,client-architecture-support");
        let answer = self.call_method(&vectors.encode());
        let granted = self.granted();
        self.close_firmware("ibm,client-architecture-support");
        // Its name stands in the log from here on, whatever the answer.
        self.reach(Station::AfterCas);
        self.say_answer(&vectors, answer, granted)
    }

    fn vectors(&mut self) -> OptionVectors {
        let pvr = self.machine.bare().boot().pvr;
        let defaults = Defaults { pvr, platform_support: &self.facts.platform_support };
        defaults.vectors().with(&self.arguments.overrides)
    }

    fn call_method(&mut self, argument: &[u8]) -> Result<CasAnswer, ClientError> {
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
        let name = c"ibm,architecture-vec-5";
        let len = client::getprop(&mut self.machine, chosen, name, &mut value).ok()??;
        value.truncate(len);
        Some(value)
    }

    fn say_answer(
        &mut self,
        vectors: &OptionVectors,
        answer: Result<CasAnswer, ClientError>,
        granted: Option<Vec<u8>>,
    ) -> Chapter {
        let answer = answer.map_err(|problem| self.fatal("cas", format!("{problem}")))?;
        let CasAnswer { catch, result } = answer;
        self.say(&Record::CasAnswer { catch, result, granted: granted.as_deref().map(Bytes::from) });
        if !answer.granted() {
            return Err(self.fatal("cas", format!("refused: {catch}, {result}")));
        }
        let granted = match granted.as_deref().map(BitVector::from_property) {
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
        Ok(())
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
