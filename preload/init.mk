# strongroom-init, PID 1 under supervision: a static program, built with musl: 30 kB, of which glibc would make 700.
#
#   make init            lib/ARCH/strongroom-init
#   make init-check      build/strongroom-init-check, the same with AddressSanitizer and UBSan, for the tests

# Without musl-gcc nothing is built in its place by itself: nobody would notice. INIT_CC=gcc asks for it. Debian has no
# musl compiler for other machines, so that a cross build falls back to glibc.
ifeq ($(origin INIT_CC),undefined)
ifeq ($(ARCH),$(HOST_ARCH))
INIT_CC := musl-gcc
else
INIT_CC := $(if $(shell command -v $(ARCH)-linux-musl-gcc 2>/dev/null),$(ARCH)-linux-musl-gcc,$(CC))
endif
endif

init_sources := $(wildcard $(here)src/init/*.c)
init_headers := $(wildcard $(here)src/init/*.h)
init := $(OUT)/strongroom-init
INIT_FLAGS := $(WARNINGS) -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Os -ffunction-sections \
	-fdata-sections -fno-asynchronous-unwind-tables -fstack-protector-strong
INIT_LINK := -static -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=sha1 -s

hint-musl-gcc := install musl-tools; or build with INIT_CC=gcc, which makes strongroom-init 700 kB large instead of 30

.PHONY: init init-check

all: $(init)

init: $(init)

$(OUT)/.init-built-with: FORCE
	$(call stamp,$(INIT_CC) $(INIT_FLAGS) $(INIT_CFLAGS) $(INIT_LINK))

$(init): $(init_sources) $(init_headers) $(here)init.mk $(OUT)/.init-built-with
	$(INIT_CC) $(INIT_FLAGS) $(INIT_CFLAGS) $(init_sources) $(INIT_LINK) -o $@.$$$$ && mv -f $@.$$$$ $@

init-check: $(here)build/strongroom-init-check

$(here)build/strongroom-init-check: $(init_sources) $(init_headers) $(here)init.mk
	@mkdir -p $(dir $@)
	$(HOST_CC) $(WARNINGS) -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -O1 -g -fsanitize=address,undefined \
		-fno-sanitize-recover=all $(init_sources) -o $@.$$$$ && mv -f $@.$$$$ $@
