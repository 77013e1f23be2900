//! Remembers the revision that the program was built from, for the manifest of a report.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../.git/HEAD");
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    if let Ok(output) = output
        && output.status.success()
        && let Ok(revision) = String::from_utf8(output.stdout)
    {
        println!("cargo:rustc-env=WINDTUNNEL_REVISION={}", revision.trim());
    }
}
