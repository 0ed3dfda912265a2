# Everything there is to do with Carillon, one word each. `make` alone lists the words.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run dev cluster web test soak deb deb-test lint bench bench-page bench-peers bench-micro measure-web docs

# Fails with one clear line when a program is missing: $(call need,program,how to get it)
need = @command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)" >&2; exit 2; }
need_cargo = $(call need,cargo,install Rust 1.94 or newer (https://rustup.rs))
need_node = $(call need,node,install Node.js 20 or newer)

# The pages, and what they are built from.
web = server/web
page = $(web)/dist/index.html
page_sources = $(addprefix $(web)/,package.json tsconfig.json vite.config.ts) $(wildcard $(web)/*.html $(web)/frame/* $(web)/src/*) docs/reference/types.d.ts
packages = $(web)/node_modules/.package-lock.json
clients = server/tests/js
clients_packages = $(clients)/node_modules/.package-lock.json

benches = cargo run --quiet --locked --release -p carillon-benches --

help: ## list what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and start the server on http://127.0.0.1:8085, nothing to configure
	$(need_cargo)
	@if ! command -v npm >/dev/null; then echo "without the pages: they are built with Node.js 20, which is missing" >&2; \
	elif ! $(MAKE) --no-print-directory web; then echo "without the pages: see the lines above" >&2; fi
	cargo run --locked --release -p carillon-server --bin carillon -- serve

dev: ## the same from a build without optimisation, for writing plugins: seconds after a change; `make web` once, for the pages
	$(need_cargo)
	cargo run --locked -p carillon-server --bin carillon -- serve

cluster: $(clients_packages) ## start Redis (REDIS=single, sentinel or cluster) and NODES=3 Carillons on loopback, until Ctrl-C
	$(need_cargo)
	$(need_node)
	$(call need,redis-server,install redis-server 7 (apt-get install redis-server))
	cargo build --locked -p carillon-server --bin carillon
	@exec node $(clients)/lib/lab.mjs $(or $(REDIS),single) $(or $(NODES),3)

web: $(page) ## build the pages and the client bundle that the server takes in

$(packages) $(clients_packages): %/node_modules/.package-lock.json: %/package-lock.json
	$(need_node)
	cd $* && npm ci --no-audit --no-fund
	@touch $@

$(page): $(packages) $(page_sources)
	cd $(web) && npm run --silent build

test: ## run every check and test, in Rust and with stock JavaScript clients
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs $(ONLY)

soak: ## let the tests that could go on for ever go on for an hour
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs fixture soak

deb: web ## pack the server for Debian: target/debian/carillon_VERSION_ARCHITECTURE.deb
	$(need_cargo)
	cargo build --locked --release -p carillon-server --bin carillon
	@config/debian/build release

deb-test: web ## as root: install the package on this machine, try it, and remove it without a trace
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs deb

lint: ## check formatting and lints only
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs fmt clippy

bench: bench-peers ## measure Carillon beside its peers in at most 25 minutes, on a machine that does nothing else
	$(need_cargo)
	cargo build --locked --release -p carillon-benches
	@status=0; $(benches) suite || status=$$?; [ $$status -gt 1 ] || $(benches) report --docs docs || status=$$?; exit $$status

bench-page: ## write docs/benchmarks.md and its plots again, from the newest run
	$(need_cargo)
	$(benches) report --docs docs

bench-peers: ## install the servers that Carillon is measured beside: from npm, PyPI and Debian
	@benches/peers/install || echo "without some peers: see the lines above" >&2

bench-micro: ## time the single steps, beside the baseline that `make bench-micro SAVE=1` saved last
	$(need_cargo)
	cargo bench --locked -p carillon-benches -- $(if $(SAVE),--save-baseline,--baseline-lenient) saved

measure-web: ## measure in a browser how soon the pages are there and how busy they keep it, in 8 minutes
	$(need_cargo)
	$(need_node)
	@node server/tests/run.mjs pages

docs: ## write the generated reference files and the API documentation again
	$(need_cargo)
	UPDATE=1 cargo test --locked -p carillon-server --test reference
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --all-features
