//! The rules of the repository, as far as a machine can check them. ARCHITECTURE.md says why they are.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a source file: what one can hold in one's head.
const LINES: usize = 500;
/// The list of records is one list, whatever its length; and a table of tests may be long.
const MAY_BE_LONGER: [&str; 1] = ["src/log/record.rs"];

/// The layers from below; modules of one layer may use each other. `main.rs` stands above all.
const LAYERS: [(&str, u8); 8] = [
    ("wire", 0),
    ("papr", 1),
    ("log", 1),
    ("machine", 1),
    ("openfirmware", 2),
    ("hotplug", 3),
    ("agent", 4),
    ("arch", 5),
];

/// How a reference can begin.
const SOURCES: [&str; 10] = [
    "LoPAR",
    "IEEE 1275",
    "ISA",
    "ELFv2 ABI",
    "Devicetree Specification",
    "QEMU",
    "SLOF",
    "Linux",
    "virtio",
    "PCI",
];

struct File {
    name: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` whose names end in one of `endings`.
fn files(folder: &str, endings: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(read(&path));
            }
        }
    }
    assert!(!found.is_empty(), "nothing under {folder}: these tests look into the wrong place");
    found
}

fn read(path: &Path) -> File {
    let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    File { name, text: fs::read_to_string(path).expect("a text file") }
}

fn sources() -> Vec<File> {
    let mut all = files("src", &[".rs"]);
    all.extend(files("tests", &[".rs"]));
    all.extend(files("boot", &[".S"]));
    all
}

fn documents() -> Vec<File> {
    let names = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "FINDINGS.md"];
    names.iter().map(|name| read(&root().join(name))).collect()
}

/// Fails with every line of `files` that `is_wrong`.
fn no_line(files: &[File], rule: &str, is_wrong: impl Fn(&File, &str) -> bool) {
    let mut wrong = String::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            if is_wrong(file, line) {
                writeln!(wrong, "{}:{number}: {}", file.name, line.trim()).expect("a string takes all");
            }
        }
    }
    assert!(wrong.is_empty(), "{rule}:\n{wrong}");
}

/// The part of a line before a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

/// The module of the library that a file belongs to.
fn module(file: &File) -> Option<&str> {
    let rest = file.name.strip_prefix("src/")?;
    Some(rest.split(['/', '.']).next().unwrap_or(rest))
}

#[test]
fn layers_point_one_way() {
    no_line(&files("src", &[".rs"]), "a lower layer uses a higher one", |file, line| {
        let Some(own) = module(file).and_then(layer) else { return false };
        // A list in braces would get past what follows.
        assert!(!line.contains("use crate::{"), "{}: one module a line, please", file.name);
        let uses = code(line).split("crate::").skip(1);
        let modules =
            uses.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""));
        modules.filter_map(layer).any(|used| used > own)
    });
}

#[test]
fn every_module_of_the_library_has_a_layer() {
    for file in files("src", &[".rs"]) {
        let module = module(&file).expect("below src");
        assert!(layer(module).is_some() || ["lib", "main"].contains(&module), "{}: which layer?", file.name);
    }
}

#[test]
fn unsafe_code_is_in_arch_alone() {
    let guest: Vec<File> =
        files("src", &[".rs"]).into_iter().filter(|file| !file.name.starts_with("src/arch/")).collect();
    no_line(&guest, "unsafe code outside arch", |_, line| {
        code(line).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
    });
    let lib = read(&root().join("src/lib.rs"));
    assert!(lib.text.contains("#![deny(unsafe_code)]"), "the compiler is to check this, too");
}

#[test]
fn every_file_can_be_held_in_ones_head() {
    for file in sources() {
        let lines = file.text.lines().count();
        let may = MAY_BE_LONGER.contains(&file.name.as_str());
        assert!(lines <= LINES || may, "{} has {lines} lines, more than {LINES}", file.name);
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Spelt in halves, so that this file does not find itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("], ["db", "g!("]];
    let words = words.map(|halves| halves.concat());
    no_line(&sources(), "something is left for later", |_, line| {
        words.iter().any(|word| line.contains(word))
    });
}

#[test]
fn references_name_their_source() {
    no_line(&sources(), "a reference that begins like no other", |file, line| {
        let is_rule = file.name == "tests/tidy.rs";
        let after = line.split("Ref:").nth(1).map(str::trim_start);
        !is_rule && after.is_some_and(|after| !SOURCES.iter().any(|source| after.starts_with(source)))
    });
}

#[test]
fn every_rtas_call_says_where_it_is_specified() {
    let rtas = read(&root().join("src/papr/rtas.rs")).text;
    let calls = rtas.split("impl<'m, M: Rtas + Clock> Calls<'m, M>").nth(1).expect("the calls");
    let calls = calls.split("#[cfg(test)]").next().expect("the part before the tests");
    let mut docs = String::new();
    for line in calls.lines().map(str::trim) {
        if line.starts_with("///") {
            docs.push_str(line);
        } else if line.starts_with("pub fn ") {
            assert!(docs.contains("Ref: "), "no reference: {line}");
            docs.clear();
        } else {
            docs.clear();
        }
    }
}

#[test]
fn assembly_explains_itself() {
    for file in files("boot", &[".S"]) {
        let lines =
            file.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('.'));
        let (comments, bare): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains("//"));
        let share = 100 * comments.len() / (comments.len() + bare.len());
        assert!(share >= 35, "{}: {share} of 100 lines have a comment, 35 are wanted", file.name);
    }
}

/// What `make` knows.
fn targets() -> Vec<String> {
    let makefile = read(&root().join("Makefile")).text;
    let names = makefile.lines().filter_map(|line| line.split_once(':'));
    names.filter(|(name, _)| !name.contains([' ', '\t', '=', '.'])).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_make_targets_in_the_documents_exist() {
    let targets = targets();
    assert!(targets.iter().any(|target| target == "run"), "the Makefile is read wrongly: {targets:?}");
    for file in documents() {
        // Commands only: in a code span, or at the start of a line of a code block.
        let spans = file.text.split("`make ").skip(1);
        let lines = file.text.lines().filter_map(|line| line.strip_prefix("make "));
        for rest in spans.chain(lines) {
            let name = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or("");
            assert!(targets.iter().any(|target| target == name), "{}: make {name}", file.name);
        }
    }
}

#[test]
fn links_and_files_named_in_the_documents_exist() {
    for file in documents() {
        for link in file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let exists =
                link.starts_with("http") || root().join(link.split('#').next().unwrap_or(link)).exists();
            assert!(exists, "{}: the link {link} leads nowhere", file.name);
        }
        let spans = file.text.split('`').skip(1).step_by(2);
        let paths = spans.filter(|span| {
            ["src/", "boot/", "tests/", "scripts/", "agent/", "papr/", "hotplug/", "openfirmware/", "log/"]
                .iter()
                .any(|folder| span.starts_with(folder))
                && !span.contains(char::is_whitespace)
                && !span.contains(['<', '*'])
        });
        for path in paths {
            let exists = root().join(path).exists() || root().join("src").join(path).exists();
            assert!(exists, "{}: there is no {path}", file.name);
        }
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    // Hosts of package registries, and paths of one machine. Spelt in halves, for the same reason.
    let words = [["deb.deb", "ian.org"], ["static.rust", "-lang"], ["index.crates", ".io"], ["pypi", ".org"]];
    let paths = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]];
    let all: Vec<String> = words.iter().chain(&paths).map(|halves| halves.concat()).collect();
    let mut everything = sources();
    everything.extend(documents());
    everything.extend(files("scripts", &[".sh"]));
    everything.push(read(&root().join("Makefile")));
    everything.push(read(&root().join(".ci/run")));
    no_line(&everything, "a host or a path that is no part of the project", |_, line| {
        all.iter().any(|word| line.contains(word.as_str()))
    });
}
