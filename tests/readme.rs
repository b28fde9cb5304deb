//! README.md says what there is: its table of commands is made of the command table's rows.
//! `REDSTART_WRITE_README=1 cargo test --test readme` writes it anew.

use redstart::command::{FAMILIES, Table};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- commands: begin -->\n";
const END: &str = "<!-- commands: end -->";

/// One line a group: its commands, subcommands in brackets.
fn table() -> String {
    let table = Table::new(FAMILIES, &[]);
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in table.commands() {
        let mut subs: Vec<String> = table.subcommands(row).map(|s| s.command.name.to_uppercase()).collect();
        subs.sort_unstable();
        let name = row.command.name.to_uppercase();
        let text = if subs.is_empty() { name } else { format!("{name} ({})", subs.join(", ")) };
        groups.entry(row.command.group).or_default().push(text);
    }
    let mut out = String::from("| group | commands |\n|---|---|\n");
    for (group, mut names) in groups {
        names.sort_unstable();
        out.push_str(&format!("| {group} | {} |\n", names.join(" ")));
    }
    out
}

#[test]
fn the_table_of_commands_is_that_of_the_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md is there");
    let (head, rest) = readme.split_once(BEGIN).expect("the table has its beginning");
    let (found, tail) = rest.split_once(END).expect("the table has its end");
    let wanted = table();
    if std::env::var_os("REDSTART_WRITE_README").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{wanted}{END}{tail}")).expect("README.md can be written");
    } else {
        assert_eq!(found, wanted, "run REDSTART_WRITE_README=1 cargo test --test readme");
    }
}
