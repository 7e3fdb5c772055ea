//! Faults on demand, as the API shows and switches them. What a rule means is the other side's affair.

use serde_json::Value;

/// Switches faults on and off. Nothing of it outlives the server.
pub trait Faults: Send + Sync + 'static {
    /// The rules that are on, in their order; none while faults are off.
    fn rules(&self) -> Vec<FaultRule>;

    /// Puts these rules in the place of those that are on, counted from zero. Rules that cannot be are refused in words
    /// that name the rule and the field, and change nothing.
    fn set(&self, rules: &Value) -> Result<(), String>;

    /// Switches all faults off.
    fn clear(&self);
}

/// A rule that is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultRule {
    /// What it is called; no two have one name.
    pub name: String,
    /// What goes wrong, in the word of the rule, as `SlowDown` or `lost`.
    pub fault: String,
    /// Whether a call that it strikes is carried out all the same, sooner or later; an event, whether it comes.
    pub took_effect: bool,
    /// S3's names of the operations it can strike, or `event`.
    pub operations: Vec<String>,
    /// All of it in a sentence.
    pub words: String,
    /// How many calls or events it was asked about and might have struck.
    pub matched: u64,
    /// How many of them it struck.
    pub struck: u64,
}
