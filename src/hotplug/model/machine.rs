//! RTAS in front of the platform: tokens, cells and buffers.
//!
//! Ref: QEMU hw/ppc/spapr_rtas.c, include/hw/ppc/spapr.h (the tokens)

use super::{Config, Platform};
use crate::machine::{Arg, Clock, Rtas};
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::indicator::{Indicator, Sensor};
use crate::papr::rtas::{Call, NO_POWER_DOMAIN, Tokens};
use crate::papr::status::Status;
use alloc::collections::BTreeMap;
use alloc::string::String;

/// The tokens of the calls that the model answers.
const TOKENS: &[(u32, Call)] = &[
    (0x2003, Call::PowerOff),
    (0x2004, Call::SystemReboot),
    (0x2005, Call::QueryCpuStoppedState),
    (0x2006, Call::StartCpu),
    (0x200a, Call::SetXive),
    (0x200b, Call::GetXive),
    (0x200c, Call::IntOff),
    (0x200d, Call::IntOn),
    (0x200e, Call::CheckException),
    (0x200f, Call::EventScan),
    (0x201a, Call::SetIndicator),
    (0x201b, Call::SetPowerLevel),
    (0x201c, Call::GetPowerLevel),
    (0x201d, Call::GetSensorState),
    (0x201e, Call::ConfigureConnector),
    (0x201f, Call::OsTerm),
];

/// How the guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It turned the machine off.
    PowerOff,
    /// It asked for a reset.
    Reboot,
    /// It said that it is dead, and why.
    Dead(String),
}

/// The platform as the guest meets it. Calls can be made to fail by their number, before they reach the platform.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The platform.
    pub platform: Platform,
    /// What the call with this number answers instead; the first call is 1.
    pub faults: BTreeMap<u64, Status>,
    /// How many RTAS calls were made.
    pub calls: u64,
    /// How the guest ended, if it did.
    pub ending: Option<Ending>,
    /// Bytes that check-exception wrote beyond the guest's buffer: QEMU does not look at the buffer's length.
    pub overrun: usize,
    ticks: u64,
}

/// Where the cells of a call go wrong.
type Answer = Result<Status, Status>;

impl Machine {
    /// A machine.
    pub fn new(config: Config) -> Self {
        Self {
            platform: Platform::new(config),
            faults: BTreeMap::new(),
            calls: 0,
            ending: None,
            overrun: 0,
            ticks: 0,
        }
    }

    /// What `/rtas` says.
    pub fn tokens() -> Tokens {
        Tokens::read(|call| TOKENS.iter().find(|(_, known)| *known == call).map(|(token, _)| *token))
    }

    fn serve(&mut self, call: Call, args: &mut [Arg<'_>], rets: &mut [u32]) -> Answer {
        match call {
            Call::SetIndicator => {
                let [indicator, index, value] = cells(args, rets, 0)?;
                Ok(self.platform.set_indicator(Indicator(indicator), DrcIndex(index), value))
            }
            Call::GetSensorState => {
                // The state is written whatever is wrong.
                rets.iter_mut().take(1).for_each(|ret| *ret = 0);
                let [sensor, index] = cells(args, rets, 1)?;
                let (status, state) = self.platform.get_sensor_state(Sensor(sensor), DrcIndex(index));
                rets[0] = state.0;
                Ok(status)
            }
            Call::ConfigureConnector => self.configure_connector(args, rets),
            Call::CheckException => self.check_exception(args, rets),
            Call::EventScan => {
                let [..]: [u32; 4] = cells(args, rets, 0)?;
                Ok(self.platform.event_scan())
            }
            Call::SetPowerLevel | Call::GetPowerLevel => power_level(call, args, rets),
            Call::StartCpu => {
                let [server, _, _] = cells(args, rets, 0)?;
                Ok(self.platform.start_thread(server))
            }
            Call::QueryCpuStoppedState => {
                const RUNNING: u32 = 2;
                let [server] = cells(args, rets, 1)?;
                let runs = self.platform.thread_runs(server).ok_or(Status::PARAMETER)?;
                rets[0] = if runs { RUNNING } else { 0 };
                Ok(Status::SUCCESS)
            }
            Call::SetXive | Call::GetXive | Call::IntOff | Call::IntOn => self.xive(call, args, rets),
            Call::PowerOff => {
                let [_, _] = cells(args, rets, 0)?;
                Ok(self.end(Ending::PowerOff))
            }
            Call::SystemReboot => {
                let []: [u32; 0] = cells(args, rets, 0)?;
                Ok(self.end(Ending::Reboot))
            }
            Call::OsTerm => {
                let text = if let [Arg::Str(text)] = args { text.to_string_lossy() } else { "".into() };
                Ok(self.end(Ending::Dead(text.into_owned())))
            }
            _ => Err(Status::PARAMETER),
        }
    }

    fn end(&mut self, ending: Ending) -> Status {
        self.ending = Some(ending);
        Status::SUCCESS
    }

    /// The second cell is the upper half of the work area's address. An address where nothing is reads as zeros, and
    /// there is no connector 0.
    fn configure_connector(&mut self, args: &mut [Arg<'_>], rets: &[u32]) -> Answer {
        let [area, Arg::Cell(0)] = args else { return Err(Status::PARAMETER) };
        let (Arg::InOut(bytes) | Arg::Out(bytes)) = area else { return Err(Status::PARAMETER) };
        if !rets.is_empty() {
            return Err(Status::PARAMETER);
        }
        let mut page = WorkArea(bytes.as_ref().try_into().map_err(|_| Status::PARAMETER)?);
        let status = self.platform.configure_connector(&mut page);
        bytes.copy_from_slice(&page.0);
        Ok(status)
    }

    /// Vector, interrupt, criticality and the buffer's length are not looked at.
    fn check_exception(&mut self, args: &mut [Arg<'_>], rets: &[u32]) -> Answer {
        if !(6..=7).contains(&args.len()) || !rets.is_empty() {
            return Err(Status::PARAMETER);
        }
        let mask = cell(args, 2);
        let Some(log) = self.platform.check_exception(mask) else { return Ok(Status::NONE_FOUND) };
        if let Some(Arg::Out(buffer) | Arg::InOut(buffer)) = args.get_mut(4) {
            let len = log.len().min(buffer.len());
            buffer[..len].copy_from_slice(&log[..len]);
            self.overrun += log.len() - len;
        }
        Ok(Status::SUCCESS)
    }

    /// Ref: QEMU hw/intc/xics_spapr.c (rtas_set_xive, rtas_get_xive, rtas_int_off, rtas_int_on)
    fn xive(&mut self, call: Call, args: &mut [Arg<'_>], rets: &mut [u32]) -> Answer {
        const OFF: u8 = 0xff;
        let platform = &mut self.platform;
        match call {
            Call::SetXive => {
                let [irq, server, priority] = cells(args, rets, 0)?;
                let priority = u8::try_from(priority).map_err(|_| Status::PARAMETER)?;
                platform.thread_runs(server).ok_or(Status::PARAMETER)?;
                let line = platform.line(irq).ok_or(Status::PARAMETER)?;
                (line.server, line.priority, line.saved) = (server, priority, priority);
            }
            Call::GetXive => {
                let [irq] = cells(args, rets, 2)?;
                let line = platform.line(irq).ok_or(Status::PARAMETER)?;
                (rets[0], rets[1]) = (line.server, u32::from(line.priority));
            }
            Call::IntOff => {
                let [irq] = cells(args, rets, 0)?;
                let line = platform.line(irq).ok_or(Status::PARAMETER)?;
                (line.saved, line.priority) = (line.priority, OFF);
            }
            _ => {
                let [irq] = cells(args, rets, 0)?;
                let line = platform.line(irq).ok_or(Status::PARAMETER)?;
                line.priority = line.saved;
            }
        }
        Ok(Status::SUCCESS)
    }
}

/// One domain, and always on.
fn power_level(call: Call, args: &[Arg<'_>], rets: &mut [u32]) -> Answer {
    const ON: u32 = 100;
    let domain = match call {
        Call::SetPowerLevel => {
            let [domain, _] = cells(args, rets, 1)?;
            domain
        }
        _ => {
            let [domain] = cells(args, rets, 1)?;
            domain
        }
    };
    if domain != NO_POWER_DOMAIN {
        return Err(Status::PARAMETER);
    }
    rets[0] = ON;
    Ok(Status::SUCCESS)
}

fn cell(args: &[Arg<'_>], at: usize) -> u32 {
    // An address is some number; nothing that takes numbers here is sensible with it.
    if let Some(Arg::Cell(cell)) = args.get(at) { *cell } else { 0 }
}

/// The cells of a call that takes just `N` of them and gives `more` back beside the status.
fn cells<const N: usize>(args: &[Arg<'_>], rets: &[u32], more: usize) -> Result<[u32; N], Status> {
    if args.len() != N || rets.len() != more {
        return Err(Status::PARAMETER);
    }
    Ok(core::array::from_fn(|at| cell(args, at)))
}

impl Rtas for Machine {
    fn rtas(&mut self, token: u32, args: &mut [Arg<'_>], rets: &mut [u32]) -> Status {
        self.calls += 1;
        if let Some(fault) = self.faults.remove(&self.calls) {
            return fault;
        }
        let Some((_, call)) = TOKENS.iter().find(|(known, _)| *known == token) else {
            return Status::PARAMETER;
        };
        self.serve(*call, args, rets).unwrap_or_else(|status| status)
    }
}

impl Clock for Machine {
    fn ticks(&self) -> u64 {
        self.ticks
    }

    fn tick_rate(&self) -> u64 {
        512_000_000
    }

    fn pause(&mut self, ticks: u64) {
        self.ticks += ticks;
    }
}
