//! The commands in lines for a shell, as a person reads them: no shell's whole grammar.

/// The commands of a text, each as its words, without what only says who runs them and where.
pub(crate) fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    joined
        .lines()
        .flat_map(split)
        .map(|words| without_wrapper(&words).to_vec())
        .filter(|words| !words.is_empty())
        .collect()
}

/// The commands of a line, which end at `|`, `&` and `;`.
fn split(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut word, mut quote) = (vec![vec![]], String::new(), None);
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') if word.is_empty() => break,
            (None, ' ' | '|' | '&' | ';') => {
                if let (false, Some(command)) = (word.is_empty(), commands.last_mut()) {
                    command.push(std::mem::take(&mut word));
                }
                if c != ' ' {
                    commands.push(vec![]);
                }
            }
            _ => word.push(c),
        }
    }
    commands
}

/// What is run by `sudo`, with variables, or in a container of compose.
fn without_wrapper(words: &[String]) -> &[String] {
    let after_options = |words: &'_ [String]| words.iter().take_while(|word| word.starts_with('-')).count();
    match words {
        [first, rest @ ..] if is_assignment(first) => without_wrapper(rest),
        [sudo, user, _, rest @ ..] if sudo == "sudo" && user == "-u" => without_wrapper(rest),
        [sudo, rest @ ..] if sudo == "sudo" => without_wrapper(rest),
        [docker, compose, run, rest @ ..]
            if docker == "docker" && compose == "compose" && (run == "run" || run == "exec") =>
        {
            // Behind the options stands the service.
            without_wrapper(rest.get(after_options(rest) + 1..).unwrap_or_default())
        }
        _ => words,
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    })
}

#[test]
fn commands_are_found_behind_what_runs_them() {
    let text = "sudo -u lockgate lockgate check --config /x  # why\n\
                echo 'a; b' | lockgate htpasswd f alice --stdin && make up\n\
                A_1=2 docker compose run --rm init lockgate certs \\\n  --name 'x y'\n";
    let expected = [
        "lockgate check --config /x",
        "echo a; b",
        "lockgate htpasswd f alice --stdin",
        "make up",
        "lockgate certs --name x y",
    ];
    assert_eq!(commands(text).iter().map(|words| words.join(" ")).collect::<Vec<_>>(), expected);
}
