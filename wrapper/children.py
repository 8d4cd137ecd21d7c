"""What ``--children allow:LIST`` names: programs, and not variables. Imported only where there is such a list."""

from strongroom.errors import ConfigError
from strongroom.launch.reference import is_env_name
from strongroom.terminal import say
from wrapper.program import DEFAULT_PATH, CannotExecError, NotOnPathError, find_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from wrapper.settings import WrapperSettings


def check_allowed(settings: "WrapperSettings", variables: "Collection[str]", search_path: str) -> None:
    """Refuse names of variables, and warn of programs that are not there: nothing with such a name gets a secret.

    Args:
        settings: of the launch, with a list of programs.
        variables: names of the application's variables.
        search_path: PATH of the launch; "" for the default one.

    Raises:
        ConfigError: one can only be meant as a variable.
    """
    for name in settings.children.removeprefix("allow:").split(","):
        try:
            find_file(name, search_path or DEFAULT_PATH)
        except (NotOnPathError, CannotExecError) as error:
            if name in variables or (is_env_name(name) and name.isupper()):
                msg = f"--children allow:{name}: is a variable, and the list is of programs that get all of them"
                hint = "name programs, as allow:pg_dump,/opt/app/worker; others find no secret at all"
                raise ConfigError(msg, hint=hint) from None
            if not settings.quiet:
                say(f"warning: --children allow:{name}: there is no such program now ({error.message})")
