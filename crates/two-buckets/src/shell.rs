//! Lines that people paste into a shell.

/// Text as a POSIX shell reads exactly this: as it is where that is safe, else in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// This program as it was called, which is how it can be called again from the same place.
pub(crate) fn program() -> String {
    match std::env::args_os().next() {
        Some(program) if !program.is_empty() => quoted(&program.to_string_lossy()),
        _ => "two-buckets".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_what_a_shell_would_read_otherwise_is_quoted() {
        for (text, shown) in [
            ("/srv/ada/.local", "/srv/ada/.local"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
            ("~", "'~'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
