//! What `paprika boot` does: the guest stays, the console is the terminal, and a person plugs by hand.

use crate::device::{CORE_LIST, FreeCore, LMB_BYTES, free_core};
use crate::machine::Machine;
use crate::out::say;
use crate::qemu::command::{Ends, Setup, for_shell};
use crate::qemu::process::{Exit, Process};
use crate::signals;
use crate::stop::Stop;
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long asking this QEMU for its cores may take.
const PROBE_LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked whether QEMU has ended.
const POLL: Duration = Duration::from_millis(20);

/// Starts QEMU on the terminal and waits for its end, not longer than `limit`.
pub fn boot(setup: &Setup, limit: Option<Duration>) -> Result<Exit, Stop> {
    let core = ask_for_core(setup)?;
    let arguments = setup.arguments(Ends::Terminal);
    let command = for_shell(&setup.qemu.program, &arguments);
    say!("{}\n", introduction(setup, &command, core.as_ref()));
    std::io::stdout().flush()?;

    let until = limit.map(|limit| Instant::now() + limit);
    let mut process = Process::start_in_foreground(&setup.qemu.program, &arguments)?;
    loop {
        if let Some(exit) = process.exit() {
            return Ok(exit);
        }
        if signals::asked_to_end() {
            return Err(Stop::Interrupted);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(Stop::TimedOut { waiting_for: "the end of QEMU".to_owned() });
        }
        sleep(POLL);
    }
}

/// What can be plugged depends on machine and CPU, so this very machine is asked, without running it.
fn ask_for_core(setup: &Setup) -> Result<Option<FreeCore>, Stop> {
    let quiet = Setup { keep: false, ..setup.clone() };
    let mut machine = Machine::launch(&quiet, Instant::now() + PROBE_LIMIT, Box::new(|_| {}))?;
    let slots = machine.execute(CORE_LIST, json!({}))?;
    Ok(free_core(&slots))
}

/// What stands before the guest's first word.
fn introduction(setup: &Setup, command: &str, core: Option<&FreeCore>) -> String {
    let mut text = format!(
        "{} with {}:\n\n  {command}\n\n\
         Ctrl-A c switches between the guest's console and QEMU's monitor, Ctrl-A x ends QEMU.\n\
         Once the guest idles, go to the monitor and try:\n\n\
         \x20 object_add memory-backend-ram,id=mem1,size={}M\n\
         \x20 device_add pc-dimm,id=dimm1,memdev=mem1\n",
        setup.qemu.banner,
        setup.firmware,
        LMB_BYTES >> 20
    );
    match core {
        Some(core) => {
            let properties = core.properties.iter().map(|(name, value)| format!(",{name}={value}"));
            let properties: String = properties.collect();
            let _ = writeln!(text, "  device_add {},id=core1{properties}", core.driver);
        }
        None => text.push_str("  info hotpluggable-cpus        (no core is free on this machine)\n"),
    }
    text.push_str(
        "  device_del dimm1              (cores last: some QEMUs do not survive a DIMM after that)\n",
    );
    text.push_str("  system_powerdown\n");
    text
}

#[cfg(test)]
mod tests {
    use super::introduction;
    use crate::device::FreeCore;
    use crate::qemu::command::Setup;
    use crate::qemu::{Qemu, Version};
    use serde_json::{Map, json};

    #[test]
    fn the_examples_fit_this_qemu() {
        let qemu = Qemu { program: "q".into(), version: Version::new(7, 2, 22), banner: "QEMU 7".into() };
        let setup = Setup::new(qemu, "p".into());
        let properties = Map::from_iter([("core-id".to_owned(), json!(8)), ("node-id".to_owned(), json!(0))]);
        let core = FreeCore { driver: "power9_v2.0-spapr-cpu-core".into(), properties };
        let text = introduction(&setup, "q -S", Some(&core));
        assert!(
            text.contains("device_add power9_v2.0-spapr-cpu-core,id=core1,core-id=8,node-id=0\n"),
            "{text}"
        );
        assert!(text.contains("  q -S\n") && text.contains("QEMU 7 with VOF"), "{text}");
        assert!(introduction(&setup, "q", None).contains("info hotpluggable-cpus"));
    }
}
