//! `dependsOn` across checks: who waits for whom in a circle.

use std::collections::HashMap;

use health_model::{CheckDefinition, CheckId, ObjectId, Reason, SpecProblem};

/// The circles among the dependencies of these checks: each sorted, all in order. A check that depends on itself is a
/// circle of one. A name that nobody has is no dependency.
pub fn dependency_cycles(definitions: &[CheckDefinition]) -> Vec<Vec<CheckId>> {
    let index: HashMap<&CheckId, usize> =
        definitions.iter().enumerate().map(|(index, definition)| (&definition.meta.id, index)).collect();
    let edges: Vec<Vec<usize>> = definitions.iter().map(|definition| edges_of(definition, &index)).collect();
    let mut cycles: Vec<Vec<CheckId>> = strongly_connected(&edges)
        .into_iter()
        .filter(|members| members.len() > 1 || members.first().is_some_and(|only| edges[*only].contains(only)))
        .map(|members| {
            let mut ids: Vec<CheckId> = members.into_iter().map(|member| definitions[member].meta.id.clone()).collect();
            ids.sort();
            ids
        })
        .collect();
    cycles.sort();
    cycles
}

/// Makes every check of a circle `InvalidConfiguration`: none of them could ever tell anybody. Says which.
pub fn refuse_cycles(definitions: &mut [CheckDefinition]) -> Vec<CheckId> {
    let cycles = dependency_cycles(definitions);
    let mut refused = Vec::new();
    for definition in definitions {
        let Some(cycle) = cycles.iter().find(|cycle| cycle.contains(&definition.meta.id)) else { continue };
        let Ok(spec) = &definition.spec else { continue };
        let names: Vec<&str> = cycle.iter().map(ObjectId::name).collect();
        let message = format!("spec.dependsOn: is part of a circle ({}); remove one of its links", names.join(", "));
        definition.spec = Err(SpecProblem {
            reason: Reason::InvalidConfiguration,
            message,
            target: Some(spec.probe.target()),
            kind: Some(spec.probe.kind()),
            interval: Some(spec.interval),
        });
        refused.push(definition.meta.id.clone());
    }
    refused
}

fn edges_of(definition: &CheckDefinition, index: &HashMap<&CheckId, usize>) -> Vec<usize> {
    let namespace = definition.meta.id.namespace();
    let names = definition.spec.iter().flat_map(|spec| spec.depends_on.iter());
    names.filter_map(|name| index.get(&ObjectId::new(namespace, name.as_ref())).copied()).collect()
}

/// Kosaraju's algorithm with stacks of our own: a chain of ten thousand checks must not end the process.
fn strongly_connected(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut seen = vec![false; edges.len()];
    let mut finished = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        visit(start, edges, &mut seen, &mut finished);
    }
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            reversed[*to].push(from);
        }
    }
    let mut seen = vec![false; edges.len()];
    let mut components = Vec::new();
    for start in finished.into_iter().rev() {
        let mut members = Vec::new();
        visit(start, &reversed, &mut seen, &mut members);
        if !members.is_empty() {
            components.push(members);
        }
    }
    components
}

/// Appends everything that can be reached and has not been seen, deepest first.
fn visit(start: usize, edges: &[Vec<usize>], seen: &mut [bool], finished: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut stack = vec![(start, 0)];
    while let Some((node, next)) = stack.pop() {
        match edges[node].get(next) {
            None => finished.push(node),
            Some(target) => {
                stack.push((node, next + 1));
                if !std::mem::replace(&mut seen[*target], true) {
                    stack.push((*target, 0));
                }
            }
        }
    }
}
