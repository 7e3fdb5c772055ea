//! What somebody probably meant by a word that means nothing.

/// How like a word must be to another to be taken for it misspelt, as clap does for flags.
const LIKENESS_MIN: f64 = 0.7;

/// The one of the words that is most like this one, if one is like it at all.
pub(crate) fn nearest<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let likeness = |word: &str| strsim::jaro(&typed.to_lowercase(), &word.to_lowercase());
    words
        .into_iter()
        .map(|word| (likeness(word), word))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}
