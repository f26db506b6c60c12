//! Ctrl-C, and being told to end: noticed here, acted upon where something waits.
//!
//! The handler only sets a flag. Whoever waits looks at the flag, returns, and so lets everything that it owns be dropped:
//! the QEMU that was started is killed and the private directory removed.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

static ASKED_TO_END: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on a first signal only sets the flag; a second one ends the process at once.
pub fn install() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ASKED_TO_END))?;
        flag::register(signal, Arc::clone(&ASKED_TO_END))?;
    }
    Ok(())
}

/// Whether the process was asked to end.
pub fn asked_to_end() -> bool {
    ASKED_TO_END.load(Ordering::Relaxed)
}
