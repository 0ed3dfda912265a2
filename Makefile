# Everything there is to do with Carillon, one word each. `make` alone lists the words.

.DEFAULT_GOAL := help
.PHONY: help run test lint bench docs

# Fails with one clear line when a program is missing: $(call need,program,how to get it)
need = @command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)" >&2; exit 2; }
need_cargo = $(call need,cargo,install Rust 1.94 or newer (https://rustup.rs))
need_node = $(call need,node,install Node.js 20 or newer)

help: ## list what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and start the server on http://127.0.0.1:8085, nothing to configure
	$(need_cargo)
	cargo run --locked --release -p carillon-server --bin carillon -- serve

test: ## run every check and test, in Rust and with stock JavaScript clients
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs $(ONLY)

lint: ## check formatting and lints only
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs fmt clippy

bench: ## run the benchmarks
	$(need_cargo)
	cargo bench --locked -p carillon-benches

docs: ## write the generated reference files and the API documentation again
	$(need_cargo)
	UPDATE=1 cargo test --locked -p carillon-server --test reference
	cargo doc --locked --workspace --no-deps
