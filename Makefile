# make setup   what a fresh Debian machine needs (idempotent)     make demo    the main job on two real Docker hosts
# make test    every test                                         make lint    format, lint and type check
# make bench   speed and memory beside the peers                  make package a tarball for real hosts, in dist/
# make storms  faults at moments that nobody chose (STORMS=50; SEED=1000)
# make long    tests on real hosts that take minutes: routine operations while data follows, restart policies, ten at once
# make faults  a fault at each step of a migration (ONLY='freeze/*'; EVERY_POINT=1; PAGE=1; goes on where it was interrupted)
SHELL := /bin/bash
NODE := node_modules/node/bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: setup demo long test test-unit lint bench faults package openapi clean storms
setup:
	@lab/setup

demo: setup
	@$(NODE) demo/run.ts

test: setup
	@$(NODE) test/run.ts

long: setup
	@$(NODE) test/run.ts --project long

test-unit: setup
	@vitest run --project unit

lint: setup
	@biome check --error-on-warnings . && tsc --noEmit && echo 'lint: clean'

bench: setup
	@$(NODE) bench/transfer.ts && $(NODE) bench/downtime.ts && $(NODE) bench/downtime-slope.ts && $(NODE) bench/memory.ts && $(NODE) bench/control-plane.ts && $(NODE) bench/hydrator-memory.ts && $(NODE) bench/lazy.ts

faults: setup
	@$(NODE) faults/run.ts --only '$(ONLY)' $(if $(EVERY_POINT),--every-point) $(if $(PAGE),--page)

storms: setup
	@$(NODE) faults/run.ts --storms $(or $(STORMS),50) $(if $(SEED),--seed $(SEED))

package: setup
	@packaging/build

openapi: setup
	@$(NODE) packaging/print-openapi.ts > docs/openapi.json

clean:
	@rm -rf node_modules dist
