//! XICS: everything is a call.
//!
//! Ref: LoPAR 6.1 (XICS), 14.5.4.7 (interrupt calls)

use super::Bus;
use crate::agent::journal;
use crate::log::{Hex, Record};
use crate::papr::rtas::{Calls, Tokens};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::{String, ToString};

pub(super) fn route<M: Bus>(
    bus: &mut M,
    tokens: &Tokens,
    irq: u32,
    server: u32,
    priority: u8,
) -> Result<(), String> {
    let rc =
        Calls::new(bus, tokens).set_xive(irq, server, priority).map_err(|missing| missing.to_string())?;
    say(bus, irq, "set-xive", server, priority.into(), rc);
    if rc == Status::SUCCESS { Ok(()) } else { Err(format!("set-xive of interrupt {irq:#x}: {rc}")) }
}

pub(super) fn say_route<M: Bus>(bus: &mut M, tokens: &Tokens, irq: u32) -> Result<(), String> {
    let answer = Calls::new(bus, tokens).get_xive(irq).map_err(|missing| missing.to_string())?;
    let (rc, (server, priority)) = answer;
    say(bus, irq, "get-xive", server, priority, rc);
    Ok(())
}

fn say<M: Bus>(bus: &mut M, irq: u32, call: &'static str, server: u32, priority: u32, rc: Status) {
    let record = Record::Irq { irq: Hex(irq.into()), call: call.into(), server, priority, rc };
    journal::say(bus, &record);
}
