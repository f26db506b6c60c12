//! Several QEMUs: each under a name of its own.

use super::Qemu;

/// The QEMUs by their versions. Builds of one version are numbered; a program that comes twice is taken once.
pub fn named(qemus: impl IntoIterator<Item = Qemu>) -> Vec<(String, Qemu)> {
    let mut named: Vec<(String, Qemu)> = Vec::new();
    for qemu in qemus {
        let place = |qemu: &Qemu| qemu.program.canonicalize().unwrap_or_else(|_| qemu.program.clone());
        if named.iter().any(|(_, other)| place(other) == place(&qemu)) {
            continue;
        }
        let same = named.iter().filter(|(_, other)| other.version == qemu.version).count();
        let number = if same == 0 { String::new() } else { format!("-{}", same + 1) };
        named.push((format!("{}{number}", qemu.version), qemu));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::{Qemu, named};
    use crate::qemu::Version;

    #[test]
    fn builds_of_one_version_are_told_apart_and_one_program_is_one_qemu() {
        let qemu = |program: &str, major| {
            let version = Version::new(major, 2, 3);
            Qemu { program: program.into(), version, banner: String::new() }
        };
        let all = [qemu("/no/a", 1), qemu("/no/b", 7), qemu("/no/c", 1), qemu("/no/a", 1), qemu("/no/d", 1)];
        let names: Vec<String> = named(all).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["1.2.3", "7.2.3", "1.2.3-2", "1.2.3-3"]);
    }
}
