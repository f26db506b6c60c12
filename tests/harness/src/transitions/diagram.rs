//! The diagram: states, and the calls that lead from one to another, for Graphviz and for Mermaid.

use super::{Cell, DrcKind, Measured};
use std::fmt::Write as _;

/// The calls that move a connector, those between the same two states together.
fn edges(measured: &Measured, kind: DrcKind) -> Vec<(&str, &str, Vec<&Cell>)> {
    let mut edges: Vec<(&str, &str, Vec<&Cell>)> = Vec::new();
    for cell in measured.of(kind).filter(|cell| cell.moves()) {
        let same =
            edges.iter_mut().find(|(before, after, _)| (*before, *after) == (&cell.before, &cell.after));
        match same {
            Some((_, _, cells)) => cells.push(cell),
            None => edges.push((&cell.before, &cell.after, vec![cell])),
        }
    }
    edges
}

fn label(cells: &[&Cell], between: &str) -> String {
    let word = |cell: &&Cell| format!("{}{}", cell.call, if cell.expected { "" } else { " !" });
    cells.iter().map(word).collect::<Vec<_>>().join(between)
}

/// For Graphviz, a cluster for each kind: `paprika transitions --format dot | dot -Tsvg`.
pub fn dot(measured: &Measured) -> String {
    let mut text =
        format!("digraph transitions {{\n  label=\"{}\";\n  rankdir=LR;\n", quoted(&measured.qemu));
    for kind in measured.kinds() {
        let _ = writeln!(text, "  subgraph cluster_{kind} {{\n    label=\"{kind}\";");
        for (before, after, cells) in edges(measured, kind) {
            let label = quoted(&label(&cells, "\n")).replace('\n', "\\n");
            let _ = writeln!(text, "    \"{kind} {before}\" -> \"{kind} {after}\" [label=\"{label}\"];");
        }
        text += "  }\n";
    }
    text += "}\n";
    text
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// For Mermaid, a diagram for each kind.
pub fn mermaid(measured: &Measured) -> String {
    let mut text = String::new();
    for kind in measured.kinds() {
        let _ = writeln!(text, "%% {kind}, {}\nstateDiagram-v2", measured.qemu);
        for (before, after, cells) in edges(measured, kind) {
            // No name of a state may have a hyphen in it.
            let [before, after] = [before, after].map(|state| state.replace('-', "_"));
            let _ = writeln!(text, "  {before} --> {after}: {}", label(&cells, ", "));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{dot, mermaid};
    use crate::transitions::testing::{cell, measured};

    #[test]
    fn only_what_moves_is_drawn() {
        let dot = dot(&measured());
        assert_eq!(
            dot,
            "digraph transitions {\n  label=\"QEMU x\";\n  rankdir=LR;\n  subgraph cluster_cpu {\n    label=\"cpu\";\n    \
             \"cpu unusable\" -> \"cpu available\" [label=\"allocation-state usable\"];\n  }\n}\n"
        );
        let mermaid = mermaid(&measured());
        assert!(mermaid.contains("stateDiagram-v2\n  unusable --> available: allocation-state usable\n"));
    }

    #[test]
    fn calls_between_the_same_states_share_an_arrow_and_wrong_ones_are_marked() {
        let mut measured = measured();
        measured.cells.push(cell("unusable", "isolation-state unisolate", 0, "available"));
        measured.cells[4].expected = false;
        assert!(dot(&measured).contains("[label=\"allocation-state usable\\nisolation-state unisolate !\"]"));
        assert!(mermaid(&measured).contains("usable, isolation-state unisolate !\n"));
    }
}
