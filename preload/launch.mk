# The programs that start an interpreter, a bundle's and an installed one: static, freestanding, one file each per
# machine. Included by Makefile.
#
#   make launch          lib/ARCH/strongroom-launch, lib/ARCH/strongroom-starter

launcher := $(OUT)/strongroom-launch
starter := $(OUT)/strongroom-starter

.PHONY: launch

launch: $(launcher) $(starter)

all: $(launcher) $(starter)

# Position-dependent: it runs for a tenth of a millisecond, and without relocations nothing need be relocated first. No
# stack protector: nobody has made the block that the guard is in.
LAUNCH_CFLAGS := $(filter-out -fPIC,$(CFLAGS_ALL)) -fno-pie -fno-asynchronous-unwind-tables -fno-stack-protector
LAUNCH_LINK := -static -nostdlib -Wl,-z,noexecstack,-z,defs -Wl,--build-id=none -s

$(OUT)/.launch-built-with: FORCE
	$(call stamp,$(CC) $(LAUNCH_CFLAGS) $(LAUNCH_LINK) $(LDFLAGS))

$(launcher): $(here)src/launch/launch.c
$(starter): $(here)src/launch/start.c

$(launcher) $(starter): $(shared_headers) $(here)src/launch/process.h $(here)launch.mk $(OUT)/.launch-built-with
	$(CC) $(LAUNCH_CFLAGS) $(filter %.c,$^) $(LAUNCH_LINK) $(LDFLAGS) -o $@.$$$$ && mv -f $@.$$$$ $@
