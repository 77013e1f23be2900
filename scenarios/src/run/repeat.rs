//! The command that repeats a run.

use reports::World;

use super::Planned;
use crate::sim::Network;

/// `windtunnel run FILE --world … --seed … --set …`, ready to be pasted into a shell.
pub(super) fn command(planned: &Planned<'_>, network: Network) -> String {
    let Planned { loaded, variant, world, seed } = *planned;
    let path = quote(&loaded.path.display().to_string());
    let mut text = format!("windtunnel run {path} --world {world} --seed {seed}");
    if world == World::Sim && network != Network::default() {
        text.push_str(" --network ");
        text.push_str(network.as_str());
    }
    let settings = loaded.settings.iter().map(|set| (&set.path, &set.text));
    let cell = variant.cell.iter().map(|(key, value)| (key, value));
    for (key, value) in settings.filter(|(path, _)| *path != "seed").chain(cell) {
        text.push_str(" --set ");
        text.push_str(&quote(&format!("{key}={value}")));
    }
    text
}

/// As one word of a shell.
pub(crate) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quote("a/b.toml"), "a/b.toml");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("{ x = 1 }"), "'{ x = 1 }'");
        assert_eq!(quote(""), "''");
    }
}
