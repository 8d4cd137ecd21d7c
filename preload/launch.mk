# The program that starts a bundle: static, freestanding, one file per machine. Included by Makefile.
#
#   make launch          lib/ARCH/strongroom-launch

launcher := $(OUT)/strongroom-launch

.PHONY: launch

launch: $(launcher)

all: $(launcher)

# Position-dependent: it runs for a tenth of a millisecond, and without relocations nothing need be relocated first. No
# stack protector: nobody has made the block that the guard is in.
LAUNCH_CFLAGS := $(filter-out -fPIC,$(CFLAGS_ALL)) -fno-pie -fno-asynchronous-unwind-tables -fno-stack-protector
LAUNCH_LINK := -static -nostdlib -Wl,-z,noexecstack,-z,defs -Wl,--build-id=none -s

$(OUT)/.launch-built-with: FORCE
	$(call stamp,$(CC) $(LAUNCH_CFLAGS) $(LAUNCH_LINK) $(LDFLAGS))

$(launcher): $(here)src/launch/launch.c $(headers) $(here)launch.mk $(OUT)/.launch-built-with
	$(CC) $(LAUNCH_CFLAGS) $(here)src/launch/launch.c $(LAUNCH_LINK) $(LDFLAGS) -o $@.$$$$ && mv -f $@.$$$$ $@
