//! Roles that programs may assume beside the uploader's: `[[role]]` in the configuration file.
//!
//! ```toml
//! [[role]]
//! name = "partner"
//! policy_file = "partner.json"     # beside the configuration file; or policy = '{"Version": …}'
//! session_life_max_s = 3600        # an hour unless said otherwise, at most 12
//! ```

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use two_buckets_s3_api::{Role, UPLOADER_ROLE};

use super::{Origin, Setting};

/// The entry in the file.
const ENTRY: &str = "role";
/// How long a session may last if nobody says.
const SESSION_LIFE_S_DEFAULT: i64 = 3600;

/// Takes the roles out of the file's table. With a problem, that role is left out.
pub(super) fn take(
    table: &mut toml::Table,
    file: Option<&Path>,
) -> (Setting<Vec<Role>>, Vec<String>) {
    let (mut roles, mut problems) = (Vec::new(), Vec::new());
    let (Some(entry), Some(file)) = (table.remove(ENTRY), file) else {
        let none = Setting {
            value: roles,
            origin: Origin::Default,
        };
        return (none, problems);
    };
    let toml::Value::Array(entries) = entry else {
        problems.push(format!(
            "{ENTRY} in {} must be a table of its own, [[{ENTRY}]]",
            file.display()
        ));
        return (found(roles, file), problems);
    };
    let mut names = BTreeSet::from([UPLOADER_ROLE.to_owned()]);
    for (number, entry) in entries.into_iter().enumerate() {
        let role = role(entry, file).and_then(|role| {
            role.check().map_err(|error| error.to_string())?;
            if names.insert(role.name.clone()) {
                Ok(role)
            } else {
                Err(format!("there is a role {} already", role.name))
            }
        });
        match role {
            Ok(role) => roles.push(role),
            Err(problem) => problems.push(format!(
                "{ENTRY} {} in {}: {problem}",
                number + 1,
                file.display()
            )),
        }
    }
    (found(roles, file), problems)
}

fn found(roles: Vec<Role>, file: &Path) -> Setting<Vec<Role>> {
    Setting {
        value: roles,
        origin: Origin::File(file.to_owned()),
    }
}

fn role(entry: toml::Value, file: &Path) -> Result<Role, String> {
    let toml::Value::Table(mut entry) = entry else {
        return Err("must be a table".to_owned());
    };
    let mut text = |name: &str| match entry.remove(name) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{name} is {}, not a text", other.type_str())),
    };
    let name = text("name")?.ok_or("has no name")?;
    let (policy, policy_file) = (text("policy")?, text("policy_file")?);
    let life_s = match entry.remove("session_life_max_s") {
        None => SESSION_LIFE_S_DEFAULT,
        Some(toml::Value::Integer(seconds)) => seconds,
        Some(_) => return Err("session_life_max_s is no whole number".to_owned()),
    };
    if let Some(unknown) = entry.keys().next() {
        return Err(format!(
            "{unknown} means nothing; there are name, policy, policy_file, session_life_max_s"
        ));
    }
    let document = match (policy, policy_file) {
        (Some(policy), None) => policy,
        (None, Some(policy_file)) => {
            let folder = file.parent().unwrap_or(Path::new(""));
            let path = folder.join(policy_file);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
        }
        _ => return Err("needs either policy or policy_file".to_owned()),
    };
    Ok(Role {
        name,
        policy: document
            .parse()
            .map_err(|error| format!("its policy is not supported: {error}"))?,
        session_life_max: Duration::from_secs(u64::try_from(life_s).unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}'"#;

    fn taken(text: &str) -> (Vec<Role>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let policy = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
        std::fs::write(folder.path().join("p.json"), policy).unwrap();
        let mut table = text.parse().unwrap();
        let (roles, problems) = take(&mut table, Some(&folder.path().join("config.toml")));
        assert!(!table.contains_key(ENTRY));
        (roles.value, problems)
    }

    #[test]
    fn roles_have_a_policy_of_their_own_or_in_a_file() {
        let (roles, problems) = taken(&format!(
            "[[role]]\nname = 'reader'\n{POLICY}\n[[role]]\nname = 'none'\npolicy_file = 'p.json'\nsession_life_max_s = 900\n"
        ));
        assert_eq!(problems, Vec::<String>::new());
        let lives: Vec<_> = roles
            .iter()
            .map(|role| (role.arn(), role.session_life_max.as_secs()))
            .collect();
        assert_eq!(
            lives,
            [
                ("arn:aws:iam::000000000000:role/reader".to_owned(), 3600),
                ("arn:aws:iam::000000000000:role/none".to_owned(), 900),
            ]
        );
        assert_eq!(taken(""), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_wrong_with_a_role_is_said() {
        for (text, because) in [
            ("role = 'a'".to_owned(), "[[role]]"),
            ("role = ['a']".to_owned(), "must be a table"),
            (format!("[[role]]\n{POLICY}"), "has no name"),
            (format!("[[role]]\nname = 'a b'\n{POLICY}"), "a b"),
            (
                "[[role]]\nname = 'a'".to_owned(),
                "either policy or policy_file",
            ),
            (
                format!("[[role]]\nname = 'a'\npolicy_file = 'p.json'\n{POLICY}"),
                "either",
            ),
            (
                "[[role]]\nname = 'a'\npolicy_file = 'missing'".to_owned(),
                "cannot be read",
            ),
            (
                "[[role]]\nname = 'a'\npolicy = '{}'".to_owned(),
                "not supported",
            ),
            (
                format!("[[role]]\nname = 'a'\nother = 1\n{POLICY}"),
                "other",
            ),
            (
                format!("[[role]]\nname = 'a'\nsession_life_max_s = 0\n{POLICY}"),
                "12 hours",
            ),
            (
                format!("[[role]]\nname = 'a'\nsession_life_max_s = -1\n{POLICY}"),
                "12 hours",
            ),
            (
                format!("[[role]]\nname = 'a'\nsession_life_max_s = 43201\n{POLICY}"),
                "12 hours",
            ),
            (
                format!("[[role]]\nname = 'a'\nsession_life_max_s = '1'\n{POLICY}"),
                "whole number",
            ),
            (
                format!("[[role]]\nname = '{UPLOADER_ROLE}'\n{POLICY}"),
                "already",
            ),
        ] {
            let (roles, problems) = taken(&text);
            assert_eq!(roles, Vec::new(), "{text}");
            let [problem] = &*problems else {
                panic!("{problems:?} for {text}");
            };
            assert!(problem.contains(because), "{problem} for {text}");
        }
    }
}
