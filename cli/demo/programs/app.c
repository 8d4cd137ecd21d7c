#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const char *password = getenv("DB_PASSWORD");
    const char *url = getenv("DATABASE_URL");

    printf("DB_PASSWORD=%s\n", password ? password : "(unset)");
    printf("DATABASE_URL=%s\n", url ? url : "(unset)");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
