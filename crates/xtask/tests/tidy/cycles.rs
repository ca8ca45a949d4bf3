//! Import cycles between the files of a crate. Names are resolved through re-exports to the file that defines them. Test
//! modules do not count, nor do imports from a file that contains the module (`mod.rs`, `lib.rs`).

use anyhow::Context;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::{Item, Meta, UseTree};

/// One file as a module of its crate.
#[derive(Default)]
struct Module {
    file: String,
    /// What `use` brings into its scope, by the name it has there.
    imports: BTreeMap<String, Vec<String>>,
    /// Every other path in it.
    paths: BTreeSet<Vec<String>>,
    globs: Vec<Vec<String>>,
}

type Modules = BTreeMap<Vec<String>, Module>;

/// Returns each group of files of `crates/NAME/src` that import one another.
pub(crate) fn find(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut crates: BTreeMap<String, Modules> = BTreeMap::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        let Some((of, inside)) = name.trim_start_matches("crates/").split_once("/src/") else { continue };
        if inside.starts_with("bin/") || inside.ends_with("tests.rs") {
            continue;
        }
        let inside = inside.trim_end_matches(".rs").trim_end_matches("/mod");
        let module_path: Vec<String> =
            inside.split('/').map(str::to_owned).filter(|part| !["lib", "main"].contains(&part.as_str())).collect();
        let parsed = syn::parse_file(&std::fs::read_to_string(path)?).with_context(|| name.clone())?;
        let mut module = Module { file: name.clone(), ..Module::default() };
        parsed.items.into_iter().for_each(|item| module.read(item));
        crates.entry(of.to_owned()).or_default().insert(module_path, module);
    }
    for modules in crates.values() {
        let edges = modules
            .iter()
            .map(|(module_path, module)| (module.file.as_str(), imported_files(modules, module_path, module)));
        cycles(&edges.collect(), &mut problems);
    }
    Ok(problems)
}

impl Module {
    fn read(&mut self, item: Item) {
        match item {
            Item::Use(item) if !is_for_tests(&item.attrs) => self.import(Vec::new(), &item.tree),
            Item::Mod(item) if is_for_tests(&item.attrs) => {}
            Item::Mod(item) if item.content.is_some() => {
                item.content.into_iter().flat_map(|(_, items)| items).for_each(|item| self.read(item));
            }
            item => self.collect_paths(item.to_token_stream()),
        }
    }

    fn import(&mut self, mut before: Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(before, &path.tree);
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.imports.extend(before.last().cloned().map(|last| (last, before)));
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.imports.insert(name.ident.to_string(), before);
            }
            UseTree::Rename(name) => {
                before.push(name.ident.to_string());
                self.imports.insert(name.rename.to_string(), before);
            }
            UseTree::Glob(_) => self.globs.push(before),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(before.clone(), tree));
            }
        }
    }

    /// Notes the paths in any tokens, those of macros included.
    fn collect_paths(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !path.is_empty() {
                        self.paths.insert(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Group(group) if colons == 2 && group.delimiter() == Delimiter::Brace => {
                    // A `use` inside a function.
                    let tree = group.to_token_stream();
                    if let Ok(tree) = syn::parse2::<UseTree>(tree) {
                        self.import(std::mem::take(&mut path), &tree);
                    }
                    colons = 0;
                }
                other => {
                    self.paths.insert(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.collect_paths(group.stream());
                    }
                }
            }
        }
        self.paths.insert(path);
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The files that a module takes names from.
fn imported_files<'a>(modules: &'a Modules, module_path: &[String], module: &Module) -> BTreeSet<&'a str> {
    let paths = module.imports.values().chain(&module.paths);
    let named = paths.filter_map(|path| defining_module(modules, module_path, path, 0));
    let globs = module.globs.iter().filter_map(|path| Some(&modules[&resolve_modules(modules, module_path, path)?.0]));
    let containing: Vec<&str> =
        (0..=module_path.len()).filter_map(|depth| Some(modules.get(&module_path[..depth])?.file.as_str())).collect();
    named.chain(globs).map(|module| module.file.as_str()).filter(|file| !containing.contains(file)).collect()
}

/// The module that defines what a path names; none if the path names a module, or nothing of this crate.
fn defining_module<'a>(
    modules: &'a Modules,
    module_path: &[String],
    path: &[String],
    depth: usize,
) -> Option<&'a Module> {
    let (module_path, rest) = resolve_modules(modules, module_path, path)?;
    let module = modules.get(&module_path)?;
    let name = rest.first()?;
    match module.imports.get(name) {
        // A re-export; the bound is against names that import themselves.
        Some(import) if depth < 8 => {
            let full: Vec<String> = import.iter().chain(&rest[1..]).cloned().collect();
            defining_module(modules, &module_path, &full, depth + 1)
        }
        Some(_) => None,
        None => {
            let globs = module
                .globs
                .iter()
                .filter_map(|glob| resolve_modules(modules, &module_path, glob))
                .map(|(found, _)| found);
            let of_glob =
                globs.filter(|found| modules.get(found).is_some_and(|module| module.imports.contains_key(name)));
            match of_glob.take(1).next() {
                Some(found) if depth < 8 => defining_module(modules, &found, rest, depth + 1),
                _ => (rest.len() < path.len() || depth > 0).then_some(module),
            }
        }
    }
}

/// Resolves the leading modules of a path. Returns the last one and the rest of the path.
fn resolve_modules<'p>(
    modules: &Modules,
    module_path: &[String],
    path: &'p [String],
) -> Option<(Vec<String>, &'p [String])> {
    let mut module_path = module_path.to_vec();
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => module_path.clear(),
            "self" => {}
            "super" => {
                module_path.pop()?;
            }
            name => {
                let below: Vec<String> = module_path.iter().cloned().chain([name.to_owned()]).collect();
                if !modules.contains_key(&below) {
                    break;
                }
                module_path = below;
            }
        }
        rest = others;
    }
    Some((module_path, rest))
}

/// Every file that reaches itself, with those that it shares the cycle with.
fn cycles(edges: &BTreeMap<&str, BTreeSet<&str>>, problems: &mut Vec<String>) {
    let reach = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = edges[from].iter().copied().collect();
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(&edges[file]);
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reach(file))).collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for file in edges.keys().filter(|file| reached[**file].contains(**file)) {
        if done.contains(file) {
            continue;
        }
        let cycle: Vec<&str> = reached[file].iter().copied().filter(|other| reached[other].contains(file)).collect();
        let arrows = cycle.iter().flat_map(|from| {
            edges[from].iter().filter(|to| cycle.contains(to)).map(move |to| format!("\n    {from} -> {to}"))
        });
        problems.push(format!("import cycle of {} files:{}", cycle.len(), arrows.collect::<String>()));
        done.extend(cycle);
    }
}
