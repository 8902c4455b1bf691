//! What a target says must call nobody: in chats some words are commands, such as `<!channel>` or `@here`.

/// Between a sign and the word behind it: it is not seen, and nobody is called.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Words that call everybody when they follow an `@` in Mattermost and Rocket.Chat.
const CALLS: [&str; 4] = ["channel", "here", "everyone", "all"];

/// The same words for Slack ("Formatting text for app surfaces": `<` and `>` are escaped), Mattermost and Rocket.Chat.
pub(super) fn disarmed_for_slack(text: &str) -> String {
    let mut quiet = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '<' => quiet.push_str("&lt;"),
            '>' => quiet.push_str("&gt;"),
            '@' if calls(text.get(at + 1..).unwrap_or_default()) => quiet.extend(['@', ZERO_WIDTH_SPACE]),
            other => quiet.push(other),
        }
    }
    quiet
}

fn calls(rest: &str) -> bool {
    CALLS.iter().any(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

/// The same words for Google Chat, where `<users/all>` calls everybody and nothing can be escaped.
pub(super) fn disarmed_for_google_chat(text: &str) -> String {
    text.replace('<', "<\u{200b}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_call_people_are_only_words() {
        let said_and_shown = [
            ("no <title> in 12 bytes", "no &lt;title&gt; in 12 bytes"),
            ("<!channel> <https://evil.example|log in>", "&lt;!channel&gt; &lt;https://evil.example|log in&gt;"),
            ("@here, @Channel!", "@\u{200b}here, @\u{200b}Channel!"),
            ("ops@example.org & co", "ops@example.org & co"),
            ("@", "@"),
        ];
        for (said, shown) in said_and_shown {
            assert_eq!(disarmed_for_slack(said), shown);
        }
        assert_eq!(disarmed_for_google_chat("<users/all>"), "<\u{200b}users/all>");
    }
}
