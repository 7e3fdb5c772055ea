use serde::Serialize;

use crate::FaultRule;

#[derive(Serialize)]
pub(crate) struct FaultsJson {
    rules: Vec<FaultRuleJson>,
}

#[derive(Serialize)]
struct FaultRuleJson {
    name: String,
    fault: String,
    took_effect: bool,
    operations: Vec<String>,
    words: String,
    matched: u64,
    struck: u64,
}

impl From<Vec<FaultRule>> for FaultsJson {
    fn from(rules: Vec<FaultRule>) -> Self {
        let rules = rules.into_iter().map(|rule| FaultRuleJson {
            name: rule.name,
            fault: rule.fault,
            took_effect: rule.took_effect,
            operations: rule.operations,
            words: rule.words,
            matched: rule.matched,
            struck: rule.struck,
        });
        Self {
            rules: rules.collect(),
        }
    }
}
