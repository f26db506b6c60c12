//! Leaving, and not getting away: what the first QEMU says of a migration, and migrations that come to nothing.

use super::{Journey, MOVE_LIMIT, POLL};
use crate::machine::Machine;
use crate::stop::Stop;
use serde_json::{Value, json};
use std::fmt;
use std::thread::sleep;
use std::time::Instant;

/// Bytes a second at which no machine gets away.
const SLOW: u64 = 64 << 10;

/// How a migration comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host takes it back.
    Cancelled,
    /// The second QEMU is killed.
    DestinationDies,
}

/// What QEMU says of a migration.
pub(super) struct Progress {
    /// The status, by QEMU's name.
    pub(super) status: String,
    /// Why it failed, where QEMU says so.
    reason: Option<String>,
    /// Bytes of memory that are over.
    transferred: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is `{}`", self.status)?;
        self.reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
    }
}

/// Whether it is over, in whichever way.
pub(super) fn is_over(progress: &Progress) -> bool {
    ["completed", "failed", "cancelled"].contains(&progress.status.as_str())
}

impl Machine {
    /// Begins a migration that comes to nothing. The machine goes on where it is.
    pub fn migrate_in_vain(&mut self, journey: &Journey, failure: Failure) -> Result<(), Stop> {
        self.tell(match failure {
            Failure::Cancelled => "migrate, and migrate_cancel",
            Failure::DestinationDies => "migrate, and kill the second QEMU",
        });
        let runs = self.runs()?;
        let mut destination = self.prepare(journey)?;
        let uri = format!("unix:{}", destination.place.join("state").display());
        destination.receive(&uri, self.until)?;
        self.execute("migrate-set-parameters", json!({ "max-bandwidth": SLOW }))?;
        self.execute("migrate", json!({ "uri": uri }))?;
        let under_way = |progress: &Progress| progress.transferred > 0 || is_over(progress);
        let begun = self.wait_for_migration("the beginning of the migration", under_way)?;
        if is_over(&begun) {
            return Err(Stop::Broken(format!(
                "the migration {begun} before anything could be done about it"
            )));
        }
        let due = match failure {
            Failure::Cancelled => {
                self.execute("migrate_cancel", json!({}))?;
                "cancelled"
            }
            Failure::DestinationDies => {
                destination.engine.process.kill();
                "failed"
            }
        };
        let end = self.wait_for_migration("the end of a migration that comes to nothing", is_over)?;
        if end.status != due {
            return Err(Stop::Broken(format!("the migration {end}, not `{due}`")));
        }
        if self.runs()? == runs {
            Ok(())
        } else {
            Err(Stop::Broken("the guest does not go on after a migration that came to nothing".to_owned()))
        }
    }

    /// Waits until the migration has come as far as `wanted` says.
    pub(super) fn wait_for_migration(
        &mut self,
        what: &str,
        wanted: impl Fn(&Progress) -> bool,
    ) -> Result<Progress, Stop> {
        let until = self.until.min(Instant::now() + MOVE_LIMIT);
        loop {
            let progress = read(&self.execute("query-migrate", json!({}))?);
            if wanted(&progress) {
                return Ok(progress);
            }
            if Instant::now() >= until {
                return Err(Stop::TimedOut { waiting_for: format!("{what}, which {progress},") });
            }
            sleep(POLL);
        }
    }
}

fn read(answer: &Value) -> Progress {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let ram = |key: &str| answer.get("ram")?.get(key)?.as_u64();
    Progress {
        status: text("status").unwrap_or_default(),
        reason: text("error-desc"),
        transferred: ram("transferred").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_over, read};
    use serde_json::json;

    #[test]
    fn what_qemu_says_is_understood() {
        let begun = read(&json!({"status": "active", "ram": {"transferred": 5}}));
        assert!(!is_over(&begun) && begun.transferred == 5);
        let failed = read(&json!({"status": "failed", "error-desc": "no space"}));
        assert!(is_over(&failed));
        assert_eq!(failed.to_string(), "is `failed`: no space");
        assert!(!is_over(&read(&json!({}))), "nothing has begun");
    }
}
