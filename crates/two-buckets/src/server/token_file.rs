//! The callers who have a token of their own, as the token file names them.

use std::collections::HashSet;
use std::path::Path;

use two_buckets_uploads::{Caller, KnownBy, TokenDigest, UploadLimits};

use crate::private_file;

/// The shortest token that cannot be guessed: 32 characters of a hexadecimal one have 128 bits.
const TOKEN_LENGTH_MIN: usize = 32;
/// The longest token.
const TOKEN_LENGTH_MAX: usize = 512;
/// The longest name of a caller.
const NAME_BYTES_MAX: usize = 255;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToml {
    #[serde(default)]
    caller: Vec<CallerToml>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerToml {
    name: String,
    token: Option<String>,
    sha256: Option<String>,
    prefix: Option<String>,
    #[serde(default)]
    may_steer: bool,
    size_bytes_max: Option<u64>,
    types: Option<Vec<String>>,
    uploads_per_minute: Option<u32>,
}

/// Reads the file's bytes, for which nobody but its owner and group may have leave.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    private_file::read_secret(path)
}

/// The callers in it; what it does not say of their limits is as in `limits`.
pub(super) fn parse(
    bytes: &[u8],
    limits: &UploadLimits,
) -> Result<Vec<(TokenDigest, Caller)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    // The parser's words on a syntax error quote the line, and a token may be in it.
    let file: FileToml = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            text.bytes()
                .take(span.start)
                .filter(|byte| *byte == b'\n')
                .count()
                + 1
        });
        format!("line {line}: {}", error.message())
    })?;
    let mut names = HashSet::new();
    let mut digests = HashSet::new();
    let mut callers = Vec::with_capacity(file.caller.len());
    for caller in file.caller {
        let name = caller.name.clone();
        let named = |problem: String| format!("the caller {name:?}: {problem}");
        let (digest, caller) = understand(caller, limits).map_err(named)?;
        if !names.insert(caller.name.clone()) {
            return Err(named("there is another one of this name".to_owned()));
        }
        if !digests.insert(digest) {
            return Err(named("another one has the same token".to_owned()));
        }
        callers.push((digest, caller));
    }
    Ok(callers)
}

fn understand(caller: CallerToml, limits: &UploadLimits) -> Result<(TokenDigest, Caller), String> {
    if !(1..=NAME_BYTES_MAX).contains(&caller.name.len())
        || caller.name.chars().any(char::is_control)
    {
        return Err(format!(
            "a name has 1 to {NAME_BYTES_MAX} bytes and no control characters"
        ));
    }
    let digest = match (&caller.token, &caller.sha256) {
        (Some(token), None) => {
            let fits = (TOKEN_LENGTH_MIN..=TOKEN_LENGTH_MAX).contains(&token.len())
                && token.bytes().all(|byte| byte.is_ascii_graphic());
            if !fits {
                return Err(format!(
                    "a token has {TOKEN_LENGTH_MIN} to {TOKEN_LENGTH_MAX} characters, visible ASCII without spaces; make one by: openssl rand -hex 32"
                ));
            }
            TokenDigest::of(token)
        }
        (None, Some(sha256)) => sha256
            .parse()
            .map_err(|error: two_buckets_uploads::InvalidTokenDigest| error.to_string())?,
        _ => return Err("needs one of token and sha256 (printf %s TOKEN | sha256sum)".to_owned()),
    };
    let types = match caller.types {
        None => limits.types.clone(),
        Some(types) => types
            .iter()
            .map(|range| range.parse().map_err(|error| format!("{range:?}: {error}")))
            .collect::<Result<_, _>>()?,
    };
    let prefix = caller
        .prefix
        .map(|prefix| {
            prefix
                .parse()
                .map_err(|error| format!("the prefix {prefix:?}: {error}"))
        })
        .transpose()?;
    Ok((
        digest,
        Caller {
            name: caller.name,
            known_by: KnownBy::TokenFile,
            prefix,
            limits: UploadLimits {
                size_bytes_max: caller.size_bytes_max.or(limits.size_bytes_max),
                types,
                uploads_per_minute: caller.uploads_per_minute.or(limits.uploads_per_minute),
            },
            may_steer: caller.may_steer,
        },
    ))
}

#[cfg(test)]
mod tests {
    use two_buckets_uploads::{TokenDigest, UploadLimits};

    use super::parse;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Result<Vec<(TokenDigest, two_buckets_uploads::Caller)>, String> {
        let limits = UploadLimits {
            size_bytes_max: Some(5),
            types: vec!["image/*".parse().unwrap()],
            uploads_per_minute: Some(7),
        };
        parse(text.as_bytes(), &limits)
    }

    #[test]
    fn callers_have_what_the_file_says_and_else_what_holds_for_all() {
        let callers = read(&format!(
            "[[caller]]\nname = 'partner'\ntoken = '{TOKEN}'\nprefix = 'partner/'\n\
             [[caller]]\nname = 'keeper'\nsha256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'\n\
             may_steer = true\nsize_bytes_max = 9\ntypes = []\nuploads_per_minute = 8\n"
        ))
        .unwrap();
        let [(first, partner), (second, keeper)] = callers.as_slice() else {
            panic!("two callers")
        };
        assert!(*first == TokenDigest::of(TOKEN) && *second == TokenDigest::of("test"));
        assert_eq!(partner.name, "partner");
        assert_eq!(partner.prefix.as_ref().unwrap().as_str(), "partner/");
        assert_eq!(partner.limits.size_bytes_max, Some(5));
        assert_eq!(partner.limits.types.len(), 1);
        assert!(!partner.may_steer && keeper.may_steer);
        assert_eq!(keeper.prefix, None);
        assert_eq!(keeper.limits.size_bytes_max, Some(9));
        assert_eq!(keeper.limits.uploads_per_minute, Some(8));
        assert!(keeper.limits.types.is_empty());
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_without_a_token_in_the_words() {
        for (text, words) in [
            (
                format!("[[caller]]\nname = 'a'\ntoken = '{TOKEN}\n"),
                "line 3",
            ),
            (
                format!("[[caller]]\nname = 'a'\ntokn = '{TOKEN}'\n"),
                "tokn",
            ),
            (
                format!("[[callers]]\nname = 'a'\ntoken = '{TOKEN}'\n"),
                "callers",
            ),
            (format!("{TOKEN}\n"), "line 1"),
            ("[[caller]]\nname = 'a'\n".to_owned(), "token"),
            (
                format!("[[caller]]\nname = 'a'\ntoken = '{TOKEN}'\nsha256 = 'x'\n"),
                "one of",
            ),
            ("[[caller]]\nname = 'a'\ntoken = 'short'\n".to_owned(), "32"),
            (
                format!("[[caller]]\nname = 'a'\ntoken = '{TOKEN} x'\n"),
                "spaces",
            ),
            ("[[caller]]\nname = 'a'\nsha256 = '12'\n".to_owned(), "64"),
            (
                format!("[[caller]]\nname = ''\ntoken = '{TOKEN}'\n"),
                "name",
            ),
            (
                format!("[[caller]]\nname = 'a'\ntoken = '{TOKEN}'\nprefix = 'p'\n"),
                "slash",
            ),
            (
                format!("[[caller]]\nname = 'a'\ntoken = '{TOKEN}'\nprefix = '../'\n"),
                "prefix",
            ),
            (
                format!("[[caller]]\nname = 'a'\ntoken = '{TOKEN}'\ntypes = ['image']\n"),
                "image",
            ),
            (
                format!(
                    "[[caller]]\nname = 'a'\ntoken = '{TOKEN}'\n[[caller]]\nname = 'b'\ntoken = '{TOKEN}'\n"
                ),
                "same token",
            ),
            (
                format!(
                    "[[caller]]\nname = 'a'\ntoken = '{TOKEN}'\n[[caller]]\nname = 'a'\ntoken = '{TOKEN}0'\n"
                ),
                "this name",
            ),
        ] {
            let Err(problem) = read(&text) else {
                panic!("{words} is missed")
            };
            assert!(problem.contains(words), "{problem}");
            assert!(!problem.contains(TOKEN), "{problem}");
        }
    }
}
