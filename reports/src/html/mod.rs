//! To be written.
/// The page.
pub fn index(_: &crate::run::Suite) -> std::io::Result<String> {
    Ok(String::new())
}
