//! The calls against a model of the device behind them.

use super::{DrcIndex, Hcall, Reply, ReturnCode, Scm};
use crate::machine::{Clock, Hypervisor};

const DRC: DrcIndex = DrcIndex(0x9000_0000);
const BLOCK: u64 = 0x1000_0000;
const BASE: u64 = 0x5000_0000;

/// A device of two blocks that is in no hurry: each call with a token is done the third time, and only with the token
/// that it handed out last.
#[derive(Default)]
struct Device {
    metadata: [u8; 32],
    bound: bool,
    flushed: bool,
    token: u64,
    patience: u64,
    calls: u32,
    now: u64,
}

impl Device {
    fn slow(busy: u64) -> Self {
        Self { patience: busy, ..Self::default() }
    }

    /// `None` when the work is done.
    fn busy(&mut self, token: u64) -> Option<Reply> {
        if token != self.token {
            return Some(Reply { code: ReturnCode::P5, values: [0; 4] });
        }
        self.token = if token < self.patience { token + 1 } else { 0 };
        let code = ReturnCode(if token == 0 { 9901 } else { 1 });
        (self.token != 0).then_some(Reply { code, values: [self.token, 0, 0, 0] })
    }

    fn answer(&mut self, opcode: u64, args: [u64; 5]) -> Reply {
        let drc = u64::from(DRC.0);
        let fail = |code| Reply { code, values: [0; 4] };
        let done = |values| Reply { code: ReturnCode::SUCCESS, values };
        let range = |offset: u64| Some(usize::try_from(offset).ok()?..usize::try_from(offset).ok()? + 8);
        match (opcode, args) {
            (0x3e4, [of, offset, 8, 0, 0]) if of == drc => {
                match range(offset).and_then(|at| self.metadata.get(at)) {
                    Some(bytes) => done([u64::from_be_bytes(bytes.try_into().expect("eight")), 0, 0, 0]),
                    None => fail(ReturnCode::P2),
                }
            }
            (0x3e8, [of, offset, data, 8, 0]) if of == drc => {
                match range(offset).and_then(|at| self.metadata.get_mut(at)) {
                    Some(bytes) => bytes.copy_from_slice(&data.to_be_bytes()),
                    None => return fail(ReturnCode::P2),
                }
                done(args[..4].try_into().expect("four"))
            }
            (0x3ec, [of, 0, blocks, u64::MAX, token]) if of == drc => {
                if blocks > 2 {
                    return fail(ReturnCode::P3);
                }
                self.busy(token).unwrap_or_else(|| {
                    self.bound = true;
                    done([0, BASE, blocks, 0])
                })
            }
            (0x3f0, [of, address, blocks, token, 0]) if of == drc => {
                if !self.bound || address < BASE || address + blocks * BLOCK > BASE + 2 * BLOCK {
                    return fail(ReturnCode::P3);
                }
                self.busy(token).unwrap_or_else(|| {
                    self.bound = false;
                    done([0, blocks, 0, 0])
                })
            }
            (0x3fc, [2, of, token, 0, 0]) if of == drc => self.busy(token).unwrap_or_else(|| {
                let blocks = if core::mem::take(&mut self.bound) { 2 } else { 0 };
                done([0, blocks, 0, 0])
            }),
            (0x400, [of, 0, 0, 0, 0]) if of == drc => done([0, 1 << 63, 0, 0]),
            (0x44c, [of, token, 0, 0, 0]) if of == drc => self.busy(token).unwrap_or_else(|| {
                self.flushed = true;
                done([0; 4])
            }),
            _ => fail(ReturnCode::PARAMETER),
        }
    }
}

impl Hypervisor for Device {
    fn hcall(&mut self, call: Hcall) -> Reply {
        self.calls += 1;
        let (opcode, args) = call.registers();
        self.answer(opcode, args)
    }
}

impl Clock for Device {
    fn ticks(&self) -> u64 {
        self.now
    }
    fn tick_rate(&self) -> u64 {
        1000
    }
    fn pause(&mut self, ticks: u64) {
        self.now += ticks;
    }
}

#[test]
fn a_device_is_bound_and_unbound() {
    let mut device = Device::default();
    let mut scm = Scm { machine: &mut device, drc: DRC };
    assert_eq!(scm.bind(3), Err(ReturnCode::P3));
    assert_eq!(scm.bind(2), Ok((BASE, 2)));
    assert_eq!(scm.unbind(0, 2), Err(ReturnCode::P3));
    assert_eq!(scm.unbind(BASE, 2), Ok(2));
    assert_eq!(scm.unbind(BASE, 2), Err(ReturnCode::P3));
    assert_eq!((scm.bind(2), scm.unbind_all(), scm.unbind_all()), (Ok((BASE, 2)), Ok(2), Ok(0)));
    assert_eq!(scm.health(), Ok((0, 1 << 63)));
    assert_eq!(Scm { machine: &mut device, drc: DrcIndex(1) }.health(), Err(ReturnCode::PARAMETER));
}

#[test]
fn a_busy_call_is_made_again_with_its_token() {
    let mut device = Device::slow(2);
    let mut scm = Scm { machine: &mut device, drc: DRC };
    assert_eq!(scm.bind(2), Ok((BASE, 2)));
    assert_eq!(scm.flush(), Ok(()));
    assert_eq!(scm.unbind_all(), Ok(2));
    assert!(device.flushed);
    assert_eq!(device.calls, 9);
    assert_eq!(device.now, 3 * (10 + 1), "each waited as long as it was told");
}

#[test]
fn a_call_that_stays_busy_is_given_up() {
    let mut device = Device::slow(u64::MAX);
    assert_eq!(Scm { machine: &mut device, drc: DRC }.flush(), Err(ReturnCode::BUSY));
    assert!((9_000..=10_000).contains(&device.now), "{}", device.now);
    assert!(!device.flushed);
}

#[test]
fn metadata_is_read_and_written_within_its_bounds() {
    let mut device = Device::default();
    let mut scm = Scm { machine: &mut device, drc: DRC };
    assert_eq!(scm.write_metadata(24, 0x0123_4567_89ab_cdef), Ok(()));
    assert_eq!(scm.read_metadata(24), Ok(0x0123_4567_89ab_cdef));
    assert_eq!(
        (scm.read_metadata(25), scm.write_metadata(32, 0)),
        (Err(ReturnCode::P2), Err(ReturnCode::P2))
    );
}

#[test]
fn opcodes_and_registers_are_frozen() {
    let drc = u64::from(DRC.0);
    for (call, opcode, args) in [
        (Hcall::scm_read_metadata(DRC, 8), 0x3e4, [drc, 8, 8, 0, 0]),
        (Hcall::scm_write_metadata(DRC, 8, 7), 0x3e8, [drc, 8, 7, 8, 0]),
        (Hcall::scm_bind_mem(DRC, 2, 9), 0x3ec, [drc, 0, 2, u64::MAX, 9]),
        (Hcall::scm_unbind_mem(DRC, BASE, 2, 9), 0x3f0, [drc, BASE, 2, 9, 0]),
        (Hcall::scm_unbind_all(DRC, 9), 0x3fc, [2, drc, 9, 0, 0]),
        (Hcall::scm_health(DRC), 0x400, [drc, 0, 0, 0, 0]),
        (Hcall::scm_flush(DRC, 9), 0x44c, [drc, 9, 0, 0, 0]),
    ] {
        assert_eq!(call.registers(), (opcode, args));
    }
}
